"""Adapters of lower rank: the nearest there is, and nothing else changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.adapters.states import (
    SHAPES,
    assert_updates,
    dense_update,
    random_adapter,
    same_tensors,
)

from lorafw.adapters.algebra.resizing import resize_to_energy, resize_to_rank
from lorafw.errors import AdapterError, UsageError
from lorafw.types import AdapterSpec, AdapterState

if TYPE_CHECKING:
    from torch import Tensor

FORMS: list[dict[str, Any]] = [
    {},
    {"use_rslora": True, "rank_pattern": {"layers.0.up": 4}},
    {"alpha_pattern": {"layers.0.q": 1.0}, "rank_pattern": {"layers.1.q": 1}},
    {"use_dora": True},
]


def nearest(update: Tensor, rank: int) -> Tensor:
    u, s, v = torch.linalg.svd(update, full_matrices=False)
    return u[:, :rank] * s[:rank] @ v[:rank]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rank", [1, 2])
def test_each_update_is_the_nearest_of_its_rank(form: dict[str, Any], rank: int) -> None:
    state = random_adapter(**form)
    resized = resize_to_rank(state, rank)
    expected = {module: nearest(dense_update(state, module), rank) for module in SHAPES}
    assert_updates(resized.state, expected)
    for done in resized.modules:
        whole = dense_update(state, done.name)
        error = float((whole - expected[done.name]).norm() / whole.norm())
        assert done.error == pytest.approx(error, abs=1e-9)
        assert done.before == state.spec.rank_of(done.name)
        assert done.after == min(rank, done.before) == resized.state.spec.rank_of(done.name)
        down, up = (resized.state.tensors[name] for name in state.spec.pair_of(done.name))
        assert (down.shape[0], up.shape[1]) == (done.after, done.after)
        assert resized.state.spec.scaling_of(done.name) == pytest.approx(
            state.spec.scaling_of(done.name)
        )


@pytest.mark.parametrize("form", FORMS)
def test_the_highest_rank_changes_nothing(form: dict[str, Any]) -> None:
    state = random_adapter(**form)
    resized = resize_to_rank(state, max(map(state.spec.rank_of, SHAPES)))
    assert same_tensors(resized.state, state)
    assert [done.error for done in resized.modules] == [0, 0, 0]
    for module in SHAPES:
        assert resized.state.spec.scaling_of(module) == state.spec.scaling_of(module)


def test_what_is_no_factor_stays_bit_for_bit() -> None:
    head = torch.randn(3, 3)
    state = random_adapter(use_dora=True, extra={"head.weight": head}, trained=("head",))
    resized = resize_to_rank(state, 1).state
    assert torch.equal(resized.tensors["head.weight"], head)
    magnitude = "layers.0.q.lora_magnitude_vector"
    assert torch.equal(resized.tensors[magnitude], state.tensors[magnitude])
    assert (resized.spec.trained, resized.spec.use_dora) == (("head",), True)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.floats(0.05, 1.0))
def test_energy_is_kept_with_the_least_rank(seed: int, energy: float) -> None:
    state = random_adapter(seed)
    for done in resize_to_energy(state, energy).modules:
        values = torch.linalg.svdvals(dense_update(state, done.name))[: done.before] ** 2
        shares = values.cumsum(0) / values.sum()
        assert 1 - done.error**2 == pytest.approx(float(shares[done.after - 1]), abs=1e-9)
        assert shares[done.after - 1] >= energy - 1e-9
        assert done.after == 1 or shares[done.after - 2] < energy + 1e-9


def test_energy_finds_ranks_that_are_never_used() -> None:
    state = random_adapter(rank=4)
    tensors = dict(state.tensors)
    tensors["layers.0.q.lora_B.weight"] = tensors["layers.0.q.lora_B.weight"].clone()
    tensors["layers.0.q.lora_B.weight"][:, 2:] = 0
    tensors["layers.1.q.lora_B.weight"] = torch.zeros(6, 4)
    whole = AdapterState(state.spec, tensors)
    resized = resize_to_energy(whole, 1.0)
    assert [done.after for done in resized.modules] == [2, 4, 1]
    assert_updates(resized.state, {module: dense_update(whole, module) for module in SHAPES})


def test_a_rank_beyond_the_module_s_sides_is_cut_to_them() -> None:
    state = random_adapter(shapes={"a": (3, 2)}, rank=6)
    resized = resize_to_rank(state, 5)
    assert [(done.before, done.after) for done in resized.modules] == [(6, 2)]
    assert resized.modules[0].error == pytest.approx(0, abs=1e-7)
    assert_updates(resized.state, {"a": dense_update(state, "a")})


@pytest.mark.parametrize(("rank", "fault"), [(0, "below 1"), (-3, "below 1"), (4, "above the ad")])
def test_ranks_out_of_range(rank: int, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        resize_to_rank(random_adapter(), rank)


@pytest.mark.parametrize("energy", [0.0, -1.0, 1.5, float("nan")])
def test_energies_out_of_range(energy: float) -> None:
    with pytest.raises(UsageError, match="energy"):
        resize_to_energy(random_adapter(), energy)


def test_another_method_is_refused() -> None:
    spec = AdapterSpec(rank=0, alpha=0, targets=("a",), method="IA3")
    with pytest.raises(AdapterError, match="its method is IA3"):
        resize_to_rank(AdapterState(spec, {"a.ia3_l": torch.ones(3)}), 1)
