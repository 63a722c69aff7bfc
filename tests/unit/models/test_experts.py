"""Which parameters of a model hold all experts of a layer, and how large they are."""

from __future__ import annotations

import pytest

from lorafw.models.experts import expert_sizes, stacked_experts
from lorafw.testing.toy_experts import toy_experts_model
from lorafw.testing.toys import toy_gpt2_bundle, toy_llama


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe", "olmoe"])
def test_both_parameters_of_every_layer_are_found(family: str) -> None:
    module = toy_experts_model(family)
    names = [f"model.layers.{n}.mlp.experts" for n in range(2)]
    keys = ("gate_up_proj", "down_proj")
    assert list(stacked_experts(module)) == [f"{name}.{key}" for name in names for key in keys]


def test_sizes_are_told_apart_from_the_order_in_which_they_are_stored() -> None:
    name = "model.layers.1.mlp.experts.gate_up_proj"
    assert expert_sizes(toy_experts_model("qwen3_moe"), name) == (4, 32, 48, False)
    turned = toy_experts_model("gpt_oss", num_local_experts=4)
    assert expert_sizes(turned, name) == (4, 32, 96, True)


def test_biases_of_experts_are_none_of_them() -> None:
    module = toy_experts_model("gpt_oss", num_local_experts=4)
    assert any("bias" in name for name, _ in module.named_parameters())
    assert not any("bias" in name for name in stacked_experts(module))


def test_a_dense_model_has_none() -> None:
    assert stacked_experts(toy_llama()) == stacked_experts(toy_gpt2_bundle().module) == {}
