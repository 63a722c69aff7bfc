"""The Llama form is recognised by the parts of a layer, and what is missing or odd is named."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from lorafw.contracts.model import LayerForm
from lorafw.models.blocks import repeated_blocks
from lorafw.models.layer_form import layer_form


def form_of(model: Any) -> LayerForm | str:
    return layer_form(repeated_blocks(model)[0], model.config)


def known(model: Any) -> LayerForm:
    form = form_of(model)
    assert isinstance(form, LayerForm), form
    return form


def test_a_llama_is_described_by_names_and_sizes(family: Any) -> None:
    form = known(family("llama", rms_norm_eps=2e-5))
    assert form == LayerForm(
        norms=("input_layernorm", "post_attention_layernorm"),
        qkv=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        out="self_attn.o_proj",
        head_norms=(),
        gate_up=("mlp.gate_proj", "mlp.up_proj"),
        down="mlp.down_proj",
        head_dim=8,
        scale=8**-0.5,
        eps=2e-5,
    )


def test_every_name_is_one_of_the_layer(family: Any) -> None:
    model = family("llama")
    layer, form = repeated_blocks(model)[0], known(model)
    for name in (*form.norms, *form.qkv, form.out, *form.gate_up, form.down):
        assert isinstance(layer.get_submodule(name), nn.Module)


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("qwen3", {}, {"head_norms": ("self_attn.q_norm", "self_attn.k_norm")}),
        ("glm", {}, {"gate_up": ("mlp.gate_up_proj",), "interleaved": True}),
        ("mistral", {"sliding_window": 16}, {"window": 16}),
        ("mistral", {"sliding_window": None}, {"window": None}),
        ("qwen2", {"use_sliding_window": False}, {"window": None}),
        ("llama", {"head_dim": 12}, {"head_dim": 12, "scale": 12**-0.5}),
        ("llama", {"attention_bias": True, "mlp_bias": True}, {"head_norms": ()}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_families_add_is_told(
    family: Any, name: str, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    form = known(family(name, **fields))
    assert {key: getattr(form, key) for key in expected} == expected


def test_each_layer_has_a_window_of_its_own(family: Any) -> None:
    fields = {"sliding_window": 16, "use_sliding_window": True, "max_window_layers": 1}
    model = family("qwen2", **fields)
    forms = [layer_form(layer, model.config) for layer in repeated_blocks(model)]
    assert [getattr(form, "window", form) for form in forms] == [None, 16]


@pytest.mark.parametrize(
    ("name", "fields", "reason"),
    [
        ("gpt2", {}, "it has no self_attn.q_proj"),
        ("bert", {}, "it has no self_attn.q_proj"),
        ("phi", {}, "it has no self_attn.o_proj"),
        ("gemma2", {}, "it has pre_feedforward_layernorm as well"),
        ("cohere", {}, "it has no post_attention_layernorm"),
        ("mixtral", {}, "it has no mlp.gate_proj"),
        ("llama", {"hidden_act": "gelu"}, "its gates go through gelu, not silu"),
    ],
)
def test_what_is_not_of_the_form_says_why(
    family: Any, name: str, fields: dict[str, Any], reason: str
) -> None:
    assert form_of(family(name, **fields)) == reason


def test_a_part_that_nobody_knows_is_named(family: Any) -> None:
    model = family("llama")
    repeated_blocks(model)[0].self_attn.add_module("gate", nn.Linear(2, 2))  # type: ignore[union-attr]
    assert form_of(model) == "it has self_attn.gate as well"


def test_a_parameter_of_the_layer_itself_is_named(family: Any) -> None:
    model = family("llama")
    repeated_blocks(model)[0].register_parameter("scale", nn.Parameter(torch.ones(2)))
    assert form_of(model) == "it has LlamaDecoderLayer as well"


def test_a_norm_that_centres_is_none_of_this_form(family: Any) -> None:
    model = family("llama")
    for layer in repeated_blocks(model):
        layer.input_layernorm = nn.LayerNorm(32)
    assert form_of(model) == "its input_layernorm is no RMSNorm"
