"""Two adapters compared: the same as with dense updates."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.unit.adapters.states import SHAPES, dense_update, random_adapter

from lorafw.adapters.algebra.agreement import Agreement
from lorafw.adapters.algebra.comparison import compare
from lorafw.types import AdapterState


def test_cosine_ratio_and_difference_are_those_of_the_dense_updates() -> None:
    one, two = random_adapter(0), random_adapter(1, rank=2, use_rslora=True)
    for found in compare(one, two).modules:
        x, y = dense_update(one, found.name), dense_update(two, found.name)
        agreement = found.agreement
        assert agreement.cosine == pytest.approx(float((x * y).sum() / x.norm() / y.norm()))
        assert agreement.norm_ratio == pytest.approx(float(y.norm() / x.norm()))
        assert agreement.difference == pytest.approx(float((x - y).norm() / x.norm()))
        assert not found.identical


def test_overlaps_are_those_of_the_leading_directions() -> None:
    one, two = random_adapter(0), random_adapter(1, rank=2)
    for found in compare(one, two).modules:
        assert found.directions == 2
        (u1, _, v1), (u2, _, v2) = (
            torch.linalg.svd(dense_update(state, found.name)) for state in (one, two)
        )
        inputs = (v1[:2] @ v2[:2].T).norm() ** 2 / 2
        outputs = (u1[:, :2].T @ u2[:, :2]).norm() ** 2 / 2
        assert found.input_overlap == pytest.approx(float(inputs))
        assert found.output_overlap == pytest.approx(float(outputs))


def test_overall_is_all_updates_as_one_and_what_is_lacking_is_zero() -> None:
    one = random_adapter(0, modules=["layers.0.q", "layers.0.up"])
    two = random_adapter(1, modules=["layers.0.q", "layers.1.q"])
    found = compare(one, two)
    x, y = (torch.cat([dense_update(s, module).flatten() for module in SHAPES]) for s in (one, two))
    assert found.overall.cosine == pytest.approx(float(x @ y / x.norm() / y.norm()))
    assert found.overall.norm_ratio == pytest.approx(float(y.norm() / x.norm()))
    assert found.overall.difference == pytest.approx(float((x - y).norm() / x.norm()))
    assert (found.only_first, found.only_second) == (("layers.0.up",), ("layers.1.q",))


def test_an_adapter_is_identical_to_its_copy() -> None:
    state = random_adapter(use_dora=True)
    copy = AdapterState(state.spec, {name: t.clone() for name, t in state.tensors.items()})
    found = compare(state, copy)
    assert found.identical
    assert all(each.identical for each in (*found.modules, *found.others))
    assert (found.only_first, found.only_second, dict(found.settings)) == ((), (), {})
    assert found.overall.cosine == pytest.approx(1)
    assert found.overall.difference == pytest.approx(0, abs=1e-12)


def test_the_last_bit_counts() -> None:
    state = random_adapter()
    name = "layers.0.q.lora_A.weight"
    nearly = torch.nextafter(state.tensors[name], torch.full_like(state.tensors[name], 9.0))
    found = compare(state, AdapterState(state.spec, {**state.tensors, name: nearly}))
    assert not found.identical
    assert [each.identical for each in found.modules] == [False, True, True]


def test_the_same_tensors_with_another_scaling_are_not_identical() -> None:
    state = random_adapter()
    found = compare(state, AdapterState(replace(state.spec, alpha=10.0), state.tensors))
    assert not found.identical
    assert dict(found.settings) == {"alpha": (5.0, 10.0)}
    assert found.overall.norm_ratio == pytest.approx(2)


def test_the_same_update_by_other_factors_has_cosine_one() -> None:
    state = random_adapter(shapes={"a": (6, 5)})
    down, up = (state.tensors[name] for name in state.spec.pair_of("a"))
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0))).Q
    turned = dict(zip(state.spec.pair_of("a"), (turn.T @ down, up @ turn), strict=True))
    (found,) = compare(state, AdapterState(state.spec, turned)).modules
    assert not found.identical
    assert found.agreement.cosine == pytest.approx(1)
    assert found.agreement.difference == pytest.approx(0, abs=1e-5)
    assert found.input_overlap == pytest.approx(1)


def test_without_an_update_there_is_no_angle() -> None:
    state = random_adapter(shapes={"a": (6, 5)})
    silent = AdapterState(state.spec, {n: t * ("_B" not in n) for n, t in state.tensors.items()})
    (found,) = compare(silent, state).modules
    assert found.agreement == Agreement(None, None, None)
    assert (found.directions, found.input_overlap) == (0, None)
    (found,) = compare(state, silent).modules
    assert found.agreement == Agreement(None, 0.0, pytest.approx(1.0))


def test_other_tensors_and_shapes() -> None:
    one = random_adapter(use_dora=True)
    name = "layers.0.q.lora_magnitude_vector"
    two = AdapterState(one.spec, {**one.tensors, name: 2 * one.tensors[name]})
    other = next(each for each in compare(one, two).others if each.name == name)
    assert (other.identical, other.difference) == (False, pytest.approx(1))
    wide = random_adapter(shapes={**SHAPES, "layers.0.q": (6, 8)})
    found = compare(random_adapter(), wide)
    assert (found.only_first, found.only_second) == (("layers.0.q",), ("layers.0.q",))
