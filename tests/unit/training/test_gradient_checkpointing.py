"""Layers that are computed twice: the same gradients, and no trace afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lorafw.assembly.registry import Registry
from lorafw.builtin.classification import Classification
from lorafw.builtin.text_pair import TextPair
from lorafw.contracts import AdaptedModel, ModelBundle
from lorafw.errors import ConfigError
from lorafw.testing.toy_classifier import toy_class_rows, toy_classifier
from lorafw.testing.toy_experts import toy_experts_bundle
from lorafw.testing.toy_training import Trained, started, train, training_plan, training_rows
from lorafw.testing.toys import toy_bundle, toy_gpt2_bundle
from lorafw.testing.values import as_if_trained, equal
from lorafw.training.gradient_checkpointing import layers_to_recompute, recomputed
from lorafw.types import Layout

TOKENS = {"method_options": {"num_virtual_tokens": 4}}
FORMS: dict[str, tuple[str, dict[str, Any], Layout]] = {
    "fused": ("custom", {"r": 4}, Layout.SEGMENTS),
    "fused, dropped": ("custom", {"r": 4, "dropout": 0.2}, Layout.PADDED),
    "fused, dora": ("custom", {"r": 4, "use_dora": True}, Layout.SEGMENTS),
    "peft, dropped": ("peft", {"r": 4, "dropout": 0.2}, Layout.SEGMENTS),
    "prompt": ("peft", {"method": "prompt_tuning", **TOKENS}, Layout.SEGMENTS),
    "prefix": ("peft", {"method": "prefix_tuning", **TOKENS}, Layout.PADDED),
}


def adapted(bundle: ModelBundle, injector: str, **options: Any) -> AdaptedModel:
    part: Any = Registry().load("injector", injector)
    model: AdaptedModel = part.from_mapping(options, where="injector").inject(bundle)
    as_if_trained(model)
    return model


def fit(model: AdaptedModel, *, twice: bool, **job: Any) -> Trained:
    plan = training_plan(gradient_checkpointing=twice, micro_batch_tokens=60)
    trainer: Any = Registry().load("trainer", "ddp")()
    with started(trainer) as running:
        return train(running, model, plan, **job)


def watched(bundle: ModelBundle) -> list[bool]:
    """Gets an entry whenever the first layer's feed-forward part is computed."""
    calls: list[bool] = []
    first: Any = bundle.layers[0]
    first.mlp.register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    return calls


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_adapter_trains_to_the_same_values(form: str) -> None:
    injector, options, layout = FORMS[form]
    once, twice = (
        fit(adapted(toy_bundle(), injector, **options), twice=twice, layout=layout)
        for twice in (False, True)
    )
    assert equal(twice.values, once.values)
    assert twice.figures("loss") == once.figures("loss")


@pytest.mark.parametrize("make", [toy_gpt2_bundle, toy_experts_bundle])
def test_other_decoders_train_to_the_same_values(make: Any) -> None:
    once, twice = (
        fit(adapted(make(), "peft", r=2), twice=twice, layout=Layout.PADDED)
        for twice in (False, True)
    )
    assert equal(twice.values, once.values)


def test_an_encoder_trains_to_the_same_values() -> None:
    job: dict[str, Any] = {
        "objective": Classification(),
        "encoder": TextPair(),
        "rows": toy_class_rows(9),
        "layout": Layout.PADDED,
    }
    once, twice = (
        fit(adapted(toy_classifier(), "custom", r=2), twice=twice, **job) for twice in (False, True)
    )
    assert equal(twice.values, once.values)


def test_layers_are_computed_twice_in_training_only() -> None:
    model = adapted(toy_bundle(), "custom", r=4)
    calls = watched(model.bundle)
    fit(model, twice=False, eval_rows=training_rows()[:3])
    once = list(calls)
    calls.clear()
    fit(model, twice=True, eval_rows=training_rows()[:3])
    assert calls.count(True) == 2 * once.count(True) > 0
    assert calls.count(False) == once.count(False) > 0


def test_nothing_is_left_of_it_when_the_engine_is_closed() -> None:
    model = adapted(toy_bundle(), "custom", r=4)
    fit(model, twice=True)
    assert not [layer for layer in model.bundle.layers if "forward" in vars(layer)]


def test_a_forward_of_someone_else_comes_back() -> None:
    layer: Any = torch.nn.Linear(2, 2)
    theirs = layer.forward = torch.nn.Identity().forward
    with recomputed([layer]):
        assert layer.forward is not theirs
    assert layer.forward is theirs


def test_a_model_without_layers_is_refused() -> None:
    bundle: Any = type("Flat", (), {"layers": ()})()
    assert layers_to_recompute(bundle, wanted=False) == ()
    with pytest.raises(ConfigError, match="which layers") as caught:
        layers_to_recompute(bundle, wanted=True)
    assert caught.value.where == "plan.gradient_checkpointing"
