"""Which layers take the fast path, which do not, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.equivalence.layer_forms import FORMS, form_bundle, form_model

from lorafw.errors import AdapterError
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.testing.toys import toy_bundle, toy_gpt2_bundle, toy_tokenizer
from lorafw_custom.fast.layer import FastLayer
from lorafw_custom.injector import CustomInjector

STRANGERS: dict[str, tuple[dict[str, Any], str]] = {
    "gemma3_text": ({}, "it has "),
    "olmo2": ({}, "it has no"),
    "phi3": ({}, "it has no self_attn.q_proj"),
    "cohere": ({}, "it has no"),
    "mixtral": ({"num_local_experts": 4}, "it has no"),
}
"""Config fields, and the beginning of the reason."""
IMPOSTORS: dict[str, dict[str, Any]] = {
    "granite": {"residual_multiplier": 0.9},
    "gemma": {},
}
"""Their parts have the right names, and they compute something else."""
SWITCHED_OFF: dict[str, tuple[dict[str, Any], str]] = {
    "dora": ({"use_dora": True}, "learns magnitudes (DoRA)"),
    "dropout": ({"dropout": 0.1}, "has dropout"),
    "norms": ({"modules_to_save": ["input_layernorm"]}, "input_layernorm is"),
    "biases": ({"bias": "lora_only"}, "has hooks"),
}


def bundle_of(model_type: str, **fields: Any) -> TransformersBundle:
    model = form_model(model_type=model_type, **fields)
    return TransformersBundle(model, toy_tokenizer(), base=model_type)


def told(bundle: Any, **options: Any) -> tuple[int, str]:
    """How many layers are fast, and all that is said before a run."""
    model = CustomInjector.from_mapping({"r": 2, **options}, where="injector").inject(bundle)
    model.prepare_steps(1, tokens=100)
    fast = [layer for layer in bundle.layers if isinstance(vars(layer).get("forward"), FastLayer)]
    return len(fast), " ".join(model.remarks)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_takes_it(form: str) -> None:
    count, remark = told(form_bundle(form))
    assert count == 2
    assert remark == "2 of 2 layers take the fast path."


@pytest.mark.parametrize("model_type", STRANGERS)
def test_layers_of_another_form_are_known_by_their_parts(model_type: str) -> None:
    fields, reason = STRANGERS[model_type]
    count, remark = told(bundle_of(model_type, **fields))
    assert count == 0
    assert f"0 of 2 layers take the fast path; 2 do not: {reason}" in remark


@pytest.mark.parametrize("model_type", IMPOSTORS)
def test_layers_that_compute_something_else_are_found_out(model_type: str) -> None:
    count, remark = told(bundle_of(model_type, **IMPOSTORS[model_type]))
    assert count == 0
    assert "2 do not: " in remark


def test_a_layer_without_positions_is_found_among_others() -> None:
    """SmolLM3 leaves the positions out in every fourth layer."""
    fields = {"num_hidden_layers": 4, "no_rope_layers": [1, 1, 1, 0]}
    count, remark = told(bundle_of("smollm3", **fields))
    assert count == 3
    assert "3 of 4 layers take the fast path; 1 do not: it computes something else" in remark


def test_transposed_weights_are_another_form() -> None:
    count, remark = told(toy_gpt2_bundle(), target_modules=["c_attn"])
    assert count == 0
    assert "it has no self_attn.q_proj" in remark


@pytest.mark.parametrize("adapter", SWITCHED_OFF)
def test_adapters_it_cannot_compute_switch_it_off(adapter: str) -> None:
    options, reason = SWITCHED_OFF[adapter]
    count, remark = told(toy_bundle(attention_bias=True), **options)
    assert count == 0
    assert reason in remark


def test_only_the_layers_concerned_are_left_out() -> None:
    trained = {"target_modules": ["q_proj"], "modules_to_save": ["layers.0.mlp.up_proj"]}
    count, remark = told(toy_bundle(), **trained)
    assert count == 1
    assert "1 of 2 layers take the fast path" in remark


@pytest.mark.parametrize("model_type", ["granite", "phi3"])
def test_where_it_is_required_the_first_layer_that_cannot_is_named(model_type: str) -> None:
    bundle = bundle_of(model_type, **IMPOSTORS.get(model_type, {}))
    with pytest.raises(AdapterError) as caught:
        told(bundle, fast="on", target_modules=["down_proj"])
    found = str(caught.value)
    assert found.startswith("injector.fast: model.layers.0 cannot take the fast path: it ")
    assert "Use auto or off." in found


def test_switched_off_nothing_is_changed_or_said() -> None:
    bundle = toy_bundle()
    assert told(bundle, fast="off") == (0, "")
    weights = [p for name, p in bundle.module.named_parameters() if "q_proj.weight" in name]
    assert weights
    assert all(weight.untyped_storage().nbytes() == weight.nbytes for weight in weights)


def test_a_layer_whose_forward_was_replaced_is_found_out() -> None:
    bundle = toy_bundle()
    for layer in bundle.layers:
        own = layer.forward
        layer.forward = lambda *given, own=own, **named: own(*given, **named) * 1.1
    count, remark = told(bundle)
    assert count == 0
    assert "it computes something else than its parts tell" in remark


def test_fp16_and_bf16_bases_take_it_too() -> None:
    for dtype in ("bf16", "fp16"):
        assert told(toy_bundle(dtype))[0] == 2
