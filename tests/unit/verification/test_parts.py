from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lorafw.assembly.compose import Parts, compose
from lorafw.assembly.config import RunConfig
from lorafw.assembly.registry import Registry
from lorafw.errors import PluginError
from lorafw.verification.parts import PATIENCE_MINUTES, injectors, trainers

REGISTRY = Registry()
CONFIG: dict[str, Any] = {
    "model": {"use": "llama", "path": "lorafw:demo"},
    "injector": {"use": "custom", "r": 4},
    "trainer": {"use": "ddp"},
    "objective": "causal-lm",
}


Compose = Callable[..., Parts]


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Compose:
    rows = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    rows.write_text('{"prompt": "the cat", "response": "sat"}\n')

    def make(**changes: Any) -> Parts:
        values = {**CONFIG, "dataset": {"use": "jsonl", "path": str(rows)}, **changes}
        return compose(RunConfig.from_mapping(values, REGISTRY), REGISTRY)

    return make


@pytest.fixture(scope="module")
def plain(composed: Compose) -> Parts:
    return composed()


def test_every_way_of_every_trainer(plain: Parts) -> None:
    fit, unfit = trainers(plain, REGISTRY, ())
    labels = [part.label for part in fit]
    stages = [f"deepspeed zero_stage={stage}" for stage in range(4)]
    assert labels == ["accelerate", "accelerate fsdp=True", "ddp", *stages]
    assert unfit == []


def test_nobody_waits_for_long(plain: Parts) -> None:
    fit, _ = trainers(plain, REGISTRY, ("ddp",))
    assert [part.options["timeout_minutes"] for part in fit] == [PATIENCE_MINUTES]


def test_the_configs_own_options_are_those_of_its_trainer(composed: Compose) -> None:
    own = {"use": "deepspeed", "zero_stage": 3, "persistence_threshold": 7}
    parts = composed(trainer=own)
    fit, _ = trainers(parts, REGISTRY, ("deepspeed",))
    assert [part.options["persistence_threshold"] for part in fit] == [0, 0, 0, 7]


def test_a_trainer_that_was_named_must_be_there(plain: Parts) -> None:
    with pytest.raises(PluginError, match="Did you mean 'ddp'"):
        trainers(plain, REGISTRY, ("ddpp",))


def test_trainers_that_do_not_fit_are_told_with_the_reason(composed: Compose) -> None:
    parts = composed(injector={"use": "peft", "init": "pissa"})
    fit, unfit = trainers(parts, REGISTRY, ())
    assert "deepspeed zero_stage=3" not in [part.label for part in fit]
    assert {each.label for each in unfit} == {"accelerate fsdp=True", "deepspeed zero_stage=3"}
    assert all("needs them whole" in each.reason for each in unfit)


def test_optimizers_that_look_at_whole_tensors_keep_zero_out(plain: Parts) -> None:
    parts = replace(plain, plan=plain.plan.model_copy(update={"optimizer": "adafactor"}))
    fit, unfit = trainers(parts, REGISTRY, ())
    assert [part.label for part in fit] == ["accelerate", "ddp", "deepspeed zero_stage=0"]
    assert len(unfit) == 4


def test_injectors_that_take_the_same_options(plain: Parts) -> None:
    fit, unfit = injectors(plain, REGISTRY)
    assert [(part.label, part.options["r"]) for part in fit] == [("custom", 4), ("peft", 4)]
    assert unfit == []


def test_injectors_that_do_not_are_told_with_the_reason(composed: Compose) -> None:
    parts = composed(injector={"use": "peft", "init_rows": 8})
    fit, (unfit,) = injectors(parts, REGISTRY)
    assert [part.label for part in fit] == ["peft"]
    assert unfit.label == "custom"
    assert "injector.init_rows" in unfit.reason
