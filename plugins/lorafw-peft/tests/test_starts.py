"""Where LoRA's factors can start, and what becomes of a start that adds to the output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model

from lorafw.errors import AdapterError, ConfigError
from lorafw.testing.exchange import load_with_peft
from lorafw.testing.toys import toy_bundle, toy_gpt2_bundle, toy_rows
from lorafw.testing.values import as_if_trained, distance, equal, logits_of
from lorafw_peft.injector import PeftInjector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lorafw.contracts import ModelBundle

ROWS = toy_rows(3, seed=4)
SUBTRACTED = ["pissa", "pissa_niter_4", "olora"]
STARTS = ["kaiming", "gaussian", "orthogonal", *SUBTRACTED]


def injector(**options: Any) -> PeftInjector:
    return PeftInjector.from_mapping({"r": 4, "alpha": 6.0, **options}, where="injector")


@pytest.mark.parametrize("make", [toy_bundle, toy_gpt2_bundle], ids=["llama", "gpt2"])
@pytest.mark.parametrize("start", STARTS)
def test_a_fresh_adapter_keeps_the_function(start: str, make: Callable[[], ModelBundle]) -> None:
    model = injector(init=start).inject(make())
    assert distance(logits_of(model.bundle, ROWS), logits_of(make(), ROWS)) < 1e-5
    downs = [p for name, p in model.trainable().items() if name.endswith("lora_A.weight")]
    assert all(p.any() for p in downs)


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_the_factors_are_those_of_peft(start: str) -> None:
    model = injector(init=start).inject(toy_bundle())
    config = LoraConfig(
        r=4, lora_alpha=6, init_lora_weights=start, target_modules=list(model.spec.targets)
    )
    theirs: Any = inject_adapter_in_model(config, toy_bundle().module).state_dict()
    for name, parameter in model.trainable().items():
        theirs_name = name.replace(".weight", ".default.weight")
        torch.testing.assert_close(parameter.detach(), theirs[theirs_name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("use_rslora", [False, True])
@pytest.mark.parametrize("start", SUBTRACTED)
def test_the_export_is_plain_lora_of_twice_the_rank(
    start: str, use_rslora: bool, tmp_path: Path
) -> None:
    patterns = {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"down_proj": 3.0}}
    model = injector(init=start, use_rslora=use_rslora, **patterns).inject(toy_bundle())
    as_if_trained(model)
    state, adapted = model.state(), logits_of(model.bundle, ROWS)
    assert (state.spec.rank, model.spec.rank) == (8, 4)
    plain = toy_bundle()
    load_with_peft(plain, model, tmp_path)
    assert distance(logits_of(plain, ROWS), adapted) < 1e-5
    heir = PeftInjector(init=start).for_spec(state.spec).inject(toy_bundle())
    heir.load_state(state.tensors)
    assert distance(logits_of(heir.bundle, ROWS), adapted) < 1e-5


@pytest.mark.parametrize("start", SUBTRACTED)
def test_it_merges_and_steps_aside(start: str) -> None:
    model, base = injector(init=start).inject(toy_bundle()), toy_bundle()
    as_if_trained(model)
    with model.disabled():
        assert torch.equal(logits_of(model.bundle, ROWS), logits_of(base, ROWS))
    wanting = {id(p) for p in model.bundle.module.parameters() if p.requires_grad}
    assert wanting == {id(p) for p in model.trainable().values()}
    adapted = logits_of(model.bundle, ROWS)
    base.module.load_state_dict(dict(model.merged_state()), strict=False)
    assert distance(logits_of(base, ROWS), adapted) < 1e-5


def test_a_resumed_run_subtracts_what_its_checkpoint_says() -> None:
    first, second = (injector(init="pissa").inject(toy_bundle()) for _ in range(2))
    as_if_trained(first)
    kept = first.training_state()
    assert kept.keys() == first.trainable().keys()
    second.load_training_state({name: torch.zeros_like(t) for name, t in kept.items()})
    second.load_state({name: p.detach() for name, p in first.trainable().items()})
    assert not equal(second.state().tensors, first.state().tensors)
    second.load_training_state(kept)
    assert equal(second.state().tensors, first.state().tensors)


def test_a_start_that_is_not_subtracted_has_nothing_to_remember() -> None:
    model = injector(init="gaussian").inject(toy_bundle())
    assert not model.training_state()
    with pytest.raises(AdapterError, match="no place for x"):
        model.load_training_state({"x": torch.zeros(1)})


def test_a_start_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"injector\.init: .*is not known; use one of kaiming"):
        injector(init="pisa")


def test_dora_and_another_start_do_not_go_together() -> None:
    with pytest.raises(ConfigError, match=r"injector\.init: 'pissa' cannot be combined"):
        injector(init="pissa", use_dora=True).preflight()


@pytest.mark.parametrize(
    ("start", "rank", "fault"), [("orthogonal", 3, "an even rank"), ("olora", 64, "at most")]
)
def test_a_rank_that_does_not_fit_is_refused(start: str, rank: int, fault: str) -> None:
    with pytest.raises(AdapterError, match=rf"injector\.r: .*{fault}"):
        injector(init=start, r=rank).inject(toy_bundle())


@pytest.mark.parametrize("start", ["pissa", "orthogonal", "olora"])
def test_an_embedding_starts_as_lora_does(start: str) -> None:
    with pytest.raises(AdapterError, match=r"injector\.init: .* no start for an embedding"):
        injector(init=start, target_modules=["embed_tokens"]).inject(toy_bundle())


def test_b_learns_faster_where_lora_plus_is_asked_for() -> None:
    model = injector(lora_plus_ratio=16.0).inject(toy_bundle())
    scales = model.learning_rate_scales()
    assert set(scales) == {n for n in model.trainable() if n.endswith("lora_B.weight")}
    assert set(scales.values()) == {16.0}
