"""Layers, or their MLPs, that are computed twice: the same gradients, and no trace afterwards."""

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
from lorafw.testing.toys import ToyEncoder, toy_bundle, toy_gpt2_bundle
from lorafw.testing.values import as_if_trained, equal
from lorafw.training.gradient_checkpointing import MARK, recomputed, to_recompute
from lorafw.types import Layout

TOKENS = {"method_options": {"num_virtual_tokens": 4}}
POLICIES = ("keep", "recompute-mlp", "checkpoint")
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


def fit(model: AdaptedModel, activations: str, **job: Any) -> Trained:
    plan = training_plan(activations=activations, micro_batch_tokens=60)
    trainer: Any = Registry().load("trainer", "ddp")()
    with started(trainer) as running:
        return train(running, model, plan, **job)


def watched(bundle: ModelBundle) -> list[bool]:
    """Gets an entry whenever the first layer's feed-forward part is computed."""
    calls: list[bool] = []
    first: Any = bundle.layers[0]
    first.mlp.down_proj.register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    return calls


def bundle_in(dtype: torch.dtype) -> ModelBundle:
    bundle = toy_bundle()
    bundle.module.to(dtype)
    return bundle


@pytest.mark.parametrize(
    ("form", "dtype"),
    [
        *((form, torch.float32) for form in FORMS),
        ("fused", torch.bfloat16),
        ("peft, dropped", torch.bfloat16),
    ],
    ids=str,
)
def test_every_form_of_adapter_trains_to_the_same_values(form: str, dtype: torch.dtype) -> None:
    injector, options, layout = FORMS[form]
    once, *others = (
        fit(adapted(bundle_in(dtype), injector, **options), activations, layout=layout)
        for activations in POLICIES
    )
    for twice in others:
        assert equal(twice.values, once.values)
        assert twice.figures("loss") == once.figures("loss")


@pytest.mark.parametrize("make", [toy_gpt2_bundle, toy_experts_bundle])
def test_other_decoders_train_to_the_same_values(make: Any) -> None:
    once, *others = (
        fit(adapted(make(), "peft", r=2), activations, layout=Layout.PADDED)
        for activations in POLICIES
    )
    assert all(equal(twice.values, once.values) for twice in others)


def test_an_encoder_trains_to_the_same_values() -> None:
    job: dict[str, Any] = {
        "objective": Classification(),
        "encoder": TextPair(),
        "rows": toy_class_rows(9),
        "layout": Layout.PADDED,
    }
    once, twice = (
        fit(adapted(toy_classifier(), "custom", r=2), activations, **job)
        for activations in ("keep", "checkpoint")
    )
    assert equal(twice.values, once.values)


@pytest.mark.parametrize("activations", ["recompute-mlp", "checkpoint"])
def test_layers_are_computed_twice_in_training_only(activations: str) -> None:
    model = adapted(toy_bundle(), "peft", r=4)
    calls = watched(model.bundle)
    fit(model, "auto", eval_rows=training_rows()[:3])
    once = list(calls)
    calls.clear()
    fit(model, activations, eval_rows=training_rows()[:3])
    assert calls.count(True) == 2 * once.count(True) > 0
    assert calls.count(False) == once.count(False) > 0


@pytest.mark.parametrize("activations", ["recompute-mlp", "checkpoint"])
def test_nothing_is_left_of_it_when_the_engine_is_closed(activations: str) -> None:
    model = adapted(toy_bundle(), "peft", r=4)
    fit(model, activations)
    modules = [*model.bundle.layers, *model.bundle.mlps]
    assert not [module for module in modules if "forward" in vars(module)]


def test_attention_is_computed_once_where_mlps_alone_are_twice() -> None:
    model = adapted(toy_bundle(), "peft", r=4)
    calls: list[str] = []
    first: Any = model.bundle.layers[0]
    for name in ("self_attn.o_proj", "mlp.down_proj"):
        first.get_submodule(name).register_forward_hook(lambda *_, name=name: calls.append(name))
    with recomputed(to_recompute(model.bundle, "recompute-mlp")):
        inputs = ToyEncoder().collate(training_rows()[:2], Layout.SEGMENTS, 0).inputs
        model.bundle.hidden(inputs).rows.sum().backward()
    assert calls.count("mlp.down_proj") == 2 * calls.count("self_attn.o_proj") == 2


def test_a_forward_that_computes_twice_says_so() -> None:
    bundle = toy_bundle()
    first: Any = bundle.mlps[0]
    with recomputed(bundle.mlps):
        assert getattr(first.forward, MARK) is True
    assert not hasattr(first.forward, MARK)


def test_a_forward_of_someone_else_comes_back() -> None:
    layer: Any = torch.nn.Linear(2, 2)
    theirs = layer.forward = torch.nn.Identity().forward
    with recomputed([layer]):
        assert layer.forward is not theirs
    assert layer.forward is theirs


def test_a_model_without_layers_is_refused() -> None:
    bundle: Any = type("Flat", (), {"layers": (), "mlps": ()})()
    assert to_recompute(bundle, "keep") == to_recompute(bundle, "auto") == ()
    with pytest.raises(ConfigError, match="which layers") as caught:
        to_recompute(bundle, "checkpoint")
    assert caught.value.where == "plan.activations"
    with pytest.raises(ConfigError, match="which feed-forward parts"):
        to_recompute(bundle, "recompute-mlp")


def test_an_encoder_has_no_feed_forward_module_of_its_own() -> None:
    bundle = toy_classifier()
    assert bundle.layers
    assert not bundle.mlps
