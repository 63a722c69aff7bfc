"""Every scenario, injector and trainer together: the same comes out, or it is refused.

Refused means by what is known of the parts, before any weight is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import lorafw
from lorafw.assembly.registry import Registry
from lorafw.errors import CompositionError

pytest.importorskip("lorafw_continual")
pytest.importorskip("lorafw_peft")
pytest.importorskip("lorafw_accelerate")
pytest.importorskip("lorafw_deepspeed")

SCENARIOS: dict[str, dict[str, Any]] = {
    "sequential": {},
    "joint": {},
    "replay": {"ratio": 0.5},
    "adapter-per-task": {"router": "similarity"},
    "ewc": {"fisher_rows": 3},
    "gem": {"memory_per_task": 2},
    "a-gem": {"memory_per_task": 3, "reference_rows": 2},
    "ogd": {"memories": 3},
    "lwf": {},
    "lfpt5": {"pseudo_rows": 2},
    "o-lora": {},
    "progressive-prompts": {},
    "l2p": {"pool_size": 2, "prompt_length": 2, "top_n": 1},
    "mbpa++": {"neighbours": 2, "local_steps": 1},
}
INJECTORS: dict[str, dict[str, Any]] = {
    "custom": {"use": "custom", "r": 4},
    "peft": {"use": "peft", "r": 4},
    "prompts": {
        "use": "peft",
        "method": "prompt_tuning",
        "method_options": {"num_virtual_tokens": 6},
    },
    "full": {"use": "full"},
}
TRAINERS: dict[str, dict[str, Any]] = {
    "ddp": {"use": "ddp"},
    "accelerate": {"use": "accelerate"},
    **{f"zero-{stage}": {"use": "deepspeed", "zero_stage": stage} for stage in range(4)},
    "zero-2-offload": {"use": "deepspeed", "zero_stage": 2, "offload_optimizer": True},
}
TASKS = {"animals": "The camel lives in the desert", "sums": "2 + 2 = 4 and more"}
CLOSE = 1e-5

LOOK_AT_WHOLE = {"ewc", "gem", "a-gem", "ogd", "lwf", "lfpt5", "o-lora", "l2p", "mbpa++"}
SET_GRADIENTS = {"gem", "a-gem", "ogd", "o-lora"}
LEARN_PROMPTS = {"progressive-prompts", "l2p"}
SHARDABLE = {"custom", "peft", "prompts"}


def _must_run(scenario: str, injector: str, trainer: str) -> bool:
    """What works by what the parts are, written down apart from what they declare."""
    if scenario == "o-lora" and injector not in {"custom", "peft"}:
        return False
    if scenario in LEARN_PROMPTS and injector != "prompts":
        return False
    if trainer == "zero-3":
        return injector in SHARDABLE and scenario not in LOOK_AT_WHOLE
    return not (trainer == "zero-2-offload" and scenario in SET_GRADIENTS)


def _config(folder: Path, scenario: str, injector: str, trainer: str) -> dict[str, Any]:
    return {
        "run": {"output": str(folder / "run"), "cache": False},
        "model": {"use": "llama", "path": "lorafw:demo"},
        "injector": INJECTORS[injector],
        "trainer": TRAINERS[trainer],
        "scenario": {"use": scenario, **SCENARIOS[scenario]},
        "plan": {"global_batch_size": 3, "learning_rate": 1e-3, "eps": 1e-6, "epochs": 1},
        "tasks": _tasks(folder),
        "exporters": [],
        "listeners": [],
    }


def _tasks(folder: Path) -> list[dict[str, Any]]:
    tasks = []
    for name, words in TASKS.items():
        rows = [{"prompt": f"Say {at} of {name}.", "response": f"{words} {at}"} for at in range(12)]
        file = folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        dataset = {"use": "jsonl", "path": str(file), "eval_fraction": 0.25}
        tasks.append({"name": name, "dataset": dataset})
    return tasks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenarios")


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each time that weights are read."""
    builder: Any = Registry().load("model", "llama")
    build, calls = builder.build, []

    def counted(self: Any, *given: Any) -> Any:
        calls.append("build")
        return build(self, *given)

    monkeypatch.setattr(builder, "build", counted)
    return calls


@cache
def _under_ddp(folder: Path, scenario: str, injector: str) -> Mapping[str, float]:
    return _figures(folder / "ddp" / injector / scenario, scenario, injector, "ddp")


def _figures(place: Path, scenario: str, injector: str, trainer: str) -> Mapping[str, float]:
    """The held-out loss of every task after every stage."""
    place.mkdir(parents=True)
    record = lorafw.run(_config(place, scenario, injector, trainer)).record
    return {
        f"{task} after {stage}": figures["loss"]
        for stage, row in record["scores"]["figures"].items()
        for task, figures in row.items()
    }


def test_all_of_them_are_here() -> None:
    installed = [
        entry.name
        for entry in Registry().entries("scenario")
        if entry.distribution == "lorafw-continual"
    ]
    assert sorted(SCENARIOS) == sorted(installed)


@pytest.mark.slow
@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("injector", INJECTORS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_it_gives_the_same_or_is_refused_before_weights_are_read(
    folder: Path, loaded: list[str], scenario: str, injector: str, trainer: str
) -> None:
    place = folder / trainer / injector / scenario
    if not _must_run(scenario, injector, trainer):
        place.mkdir(parents=True)
        with pytest.raises(CompositionError):
            lorafw.run(_config(place, scenario, injector, trainer))
        assert loaded == []
        return
    reference = _under_ddp(folder, scenario, injector)
    assert len(reference) >= 2 * len(TASKS)
    if trainer != "ddp":
        found = _figures(place, scenario, injector, trainer)
        assert found == pytest.approx(reference, abs=CLOSE)
