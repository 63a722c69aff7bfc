"""Modules sorted by kind and layer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.adapters.states import random_adapter

from lorafw.adapters.algebra.inspection import inspect_adapter
from lorafw.adapters.algebra.layer_sizes import layer_sizes, place_of, sizes_are_relative


@pytest.mark.parametrize(
    ("module", "kind", "layer"),
    [
        ("model.layers.10.self_attn.q_proj", "self_attn.q_proj", 10),
        ("transformer.h.3.attn.c_attn", "attn.c_attn", 3),
        ("layers.2.mlp.experts.31.w1", "mlp.experts.*.w1", 2),
        ("bert.encoder.layer.0.output.dense", "output.dense", 0),
        ("0.linear", "linear", 0),
        ("lm_head", "lm_head", None),
        ("model.fc1", "model.fc1", None),
    ],
)
def test_kind_and_layer_of_a_name(module: str, kind: str, layer: int | None) -> None:
    assert place_of(module) == (kind, layer)


def test_experts_of_a_layer_are_one_quadratic_mean() -> None:
    shapes = {"layers.0.e.0.up": (3, 4), "layers.0.e.1.up": (3, 4), "head": (5, 3)}
    report = inspect_adapter(random_adapter(shapes=shapes))
    one, two, head = (module.norm for module in report.modules)
    found = layer_sizes(report)
    assert found["e.*.up"][0] == pytest.approx(((one**2 + two**2) / 2) ** 0.5)
    assert found["head"] == {None: head}


def test_sizes_are_relative_only_where_all_are() -> None:
    report = inspect_adapter(random_adapter())
    first, *others = report.modules
    some = replace(report, modules=(replace(first, relative_norm=0.5), *others))
    assert not sizes_are_relative(some)
    assert layer_sizes(some)["q"][0] == first.norm
    modules = tuple(replace(module, relative_norm=0.5) for module in report.modules)
    assert layer_sizes(replace(report, modules=modules))["q"] == {0: 0.5, 1: 0.5}
