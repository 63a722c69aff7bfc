"""The fast path of injector `custom` gives the gradients of the ordinary one, or better ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.equivalence.layer_forms import (
    FORMS,
    LENGTHS,
    adapted,
    far,
    form_bundle,
    gradients,
    gradients_alone,
    inputs,
)
from torch import Tensor

from lorafw.types import Layout

EXACT = 1e-5
"""In fp32, where only the order of sums differs."""

ADAPTERS: dict[str, dict[str, Any]] = {
    "attention-alone": {"target_modules": ["q_proj", "v_proj"]},
    "mlp-alone": {"target_modules": ["gate_proj", "down_proj"]},
    "one-way": {"target_modules": ["o_proj", "up_proj"]},
    "patterns": {"rank_pattern": {"q_proj": 2, "down_proj": 8}, "alpha_pattern": {"v_proj": 4.0}},
    "rslora": {"use_rslora": True},
    "pissa": {"init": "pissa"},
    "top-layer": {"layers_to_transform": [2]},
    "outer-layers": {"layers_to_transform": [0, 2]},
}
"""Adapters in three layers of Llama."""


def both(form: str, given: dict[str, Tensor], **options: Any) -> tuple[Any, Any]:
    """Gradients of the fast path in fp32, and of the ordinary one in fp64."""
    fields = options.pop("fields", {})
    fast = adapted(form_bundle(form, **fields), fast="on", kernels="eager", **options)
    plain = adapted(form_bundle(form, torch.float64, **fields), fast="off", **options)
    return gradients(fast, given), gradients(plain, given)


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("form", FORMS)
def test_in_fp32_every_gradient_is_exact(form: str, layout: Layout) -> None:
    found, wanted = both(form, inputs(layout=layout))
    assert all(wanted[name].norm() > 0 for name in wanted)
    for name in wanted:
        off = far({name: found[name]}, {name: wanted[name]})
        assert off <= EXACT, f"{name} is off by {off:.1e}"


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_whatever_is_adapted_its_gradients_are_exact(adapter: str) -> None:
    fields = {"num_hidden_layers": 3}
    found, wanted = both("llama", inputs(), fields=fields, **ADAPTERS[adapter])
    assert far(found, wanted) <= EXACT


@pytest.mark.parametrize("form", ["llama", "qwen3"])
@pytest.mark.parametrize("lengths", [(1,), (1, 1, 1), (2048,), (65, 64, 129)], ids=str)
def test_rows_may_be_as_short_or_long_as_they_are(form: str, lengths: tuple[int, ...]) -> None:
    small = {"hidden_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
    found, wanted = both(form, inputs(lengths), fields=small)
    assert far(found, wanted) <= EXACT


@pytest.mark.parametrize("lengths", [(9, 9), (9, 4, 1)], ids=["full", "ragged"])
def test_padding_behind_the_rows_changes_nothing(lengths: tuple[int, ...]) -> None:
    found, wanted = both("llama", inputs(lengths, Layout.PADDED))
    assert far(found, wanted) <= EXACT


def test_padding_in_front_goes_the_ordinary_way_with_the_same_numbers() -> None:
    given = inputs((9, 4, 1), Layout.PADDED, left=True)
    assert not given["attention_mask"][:, 0].all()
    found, wanted = both("llama", given)
    assert far(found, wanted) <= EXACT


def test_rows_longer_than_the_window_go_the_ordinary_way_with_the_same_numbers() -> None:
    given = inputs((100, 20))
    found, wanted = both("windowed-mistral", given)
    unbounded, _ = both("mistral", given)
    assert far(found, wanted) <= EXACT
    assert far(unbounded, wanted) > 100 * EXACT


@pytest.mark.parametrize("form", ["llama", "qwen2", "qwen3", "glm", "old-minimind"])
def test_in_bf16_gradients_are_nearer_to_fp64_than_those_of_peft(form: str) -> None:
    pytest.importorskip("peft")
    mine, theirs = 0.0, 0.0
    for seed in range(3):
        exact = adapted(form_bundle(form, torch.float64, seed), fast="off")
        wanted = gradients_alone(gradients(exact, inputs()))
        bundles = [form_bundle(form, torch.bfloat16, seed) for _ in range(2)]
        fast = adapted(bundles[0], fast="on", kernels="eager")
        peft = adapted(bundles[1], "peft")
        mine += far(gradients_alone(gradients(fast, inputs())), wanted)
        theirs += far(gradients_alone(gradients(peft, inputs())), wanted)
    assert mine <= theirs
    assert sum(LENGTHS) * mine > 0  # bf16 was at work
