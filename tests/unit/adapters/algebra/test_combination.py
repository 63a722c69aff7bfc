"""One adapter out of several is what its method promises of the updates."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

from lorafw.adapters.algebra.combinable import Part
from lorafw.adapters.algebra.combination import Method, Way, combine
from lorafw.adapters.algebra.sparse_merging import agreeing_mean, trimmed
from lorafw.errors import UsageError
from lorafw.types import AdapterState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

FULL = 5
"""A rank at which no update of the toy shapes is cut."""

weights = st.floats(-2, 2).filter(lambda weight: abs(weight) > 0.01)


def parts(states: Sequence[AdapterState], factors: Sequence[float]) -> list[Part]:
    return [
        Part(f"adapter {i}", state, factor)
        for i, (state, factor) in enumerate(zip(states, factors, strict=True))
    ]


def several() -> list[AdapterState]:
    """Of different ranks, scalings and modules."""
    return [
        random_adapter(0),
        random_adapter(1, use_rslora=True, rank=2, modules=["layers.0.q", "layers.0.up"]),
        random_adapter(2, rank_pattern={"layers.0.up": 1}, alpha_pattern={"layers.1.q": 0.5}),
    ]


def weighted(states: Sequence[AdapterState], factors: Sequence[float]) -> dict[str, Tensor]:
    zero = torch.zeros((), dtype=torch.float64)
    return {
        module: sum(
            (w * dense_update(s, module) for s, w in zip(states, factors, strict=True)), zero
        )
        for module in SHAPES
    }


@settings(deadline=None, max_examples=30)
@given(st.lists(weights, min_size=3, max_size=3))
def test_linear_is_the_weighted_sum_of_updates(factors: list[float]) -> None:
    combined = combine(parts(several(), factors), Way())
    assert_updates(combined.state, weighted(several(), factors))
    assert [(done.rank, done.error) for done in combined.modules] == [(8, 0), (6, 0), (6, 0)]
    assert {combined.state.spec.scaling_of(module) for module in SHAPES} == {1.0}


def test_it_is_not_the_product_of_summed_factors() -> None:
    """What PEFT calls linear: sums of B times sums of A, with terms of B₁·A₂ between."""
    one, two = random_adapter(0), random_adapter(1)
    combined = combine(parts([one, two], [1, 1]), Way())
    down, up = one.spec.pair_of("layers.0.q")
    crossed = (one.tensors[up] + two.tensors[up]) @ (one.tensors[down] + two.tensors[down])
    ours = dense_update(combined.state, "layers.0.q")
    assert (ours - one.spec.scaling_of("layers.0.q") * crossed).norm() > 0.1 * ours.norm()


@pytest.mark.parametrize("method", list(Method))
def test_one_adapter_of_weight_one_is_itself(method: Method) -> None:
    state = random_adapter()
    combined = combine(parts([state], [1]), Way(method, density=1.0))
    assert_updates(combined.state, {module: dense_update(state, module) for module in SHAPES})
    assert all(done.error < 1e-5 for done in combined.modules)
    assert combined.state.spec.rank == 3


@pytest.mark.parametrize("method", list(Method))
def test_the_order_does_not_matter(method: Method) -> None:
    states, factors = several(), [0.5, -1.0, 2.0]
    way = Way(method, rank=FULL, density=0.6, seed=3)
    one = combine(parts(states, factors), way)
    other = combine(parts(states[::-1], factors[::-1]), way)
    expected = {module: dense_update(one.state, module) for module in SHAPES}
    assert_updates(other.state, expected, rtol=1e-4)


@pytest.mark.parametrize("method", [Method.LINEAR, Method.SVD])
def test_a_cut_sum_is_the_nearest_of_its_rank(method: Method) -> None:
    states, factors = several(), [1, 1, 1]
    combined = combine(parts(states, factors), Way(method, rank=2))
    for done in combined.modules:
        whole = weighted(states, factors)[done.name]
        u, s, v = torch.linalg.svd(whole, full_matrices=False)
        nearest = u[:, :2] * s[:2] @ v[:2]
        found = dense_update(combined.state, done.name)
        torch.testing.assert_close(found, nearest, rtol=1e-4, atol=1e-4)
        assert done.error == pytest.approx(float(s[2:].norm() / s.norm()))


def test_svd_takes_the_highest_rank() -> None:
    combined = combine(parts(several(), [1, 1, 1]), Way(Method.SVD))
    assert {done.name: done.rank for done in combined.modules} == dict.fromkeys(SHAPES, 3)


def test_ties_is_trimmed_and_agrees_in_sign() -> None:
    states, factors = several(), [1.0, 0.5, -1.0]
    combined = combine(parts(states, factors), Way(Method.TIES, rank=FULL, density=0.4))
    expected = {}
    for module in SHAPES:
        held = [(s, w) for s, w in zip(states, factors, strict=True) if module in s.spec.targets]
        thin = [w * trimmed(dense_update(s, module).float(), 0.4) for s, w in held]
        expected[module] = agreeing_mean(thin).double()
    assert_updates(combined.state, expected, rtol=1e-4)


def test_dare_drops_by_seed_and_makes_up_for_it() -> None:
    state = random_adapter(shapes={"a": (60, 50)}, rank=50)
    whole = dense_update(state, "a")

    def dare(seed: int) -> Tensor:
        way = Way(Method.DARE_LINEAR, density=0.5, seed=seed)
        return dense_update(combine(parts([state], [2.0]), way).state, "a")

    found = dare(0)
    kept = found.abs() > 1e-3
    assert float(kept.double().mean()) == pytest.approx(0.5, abs=0.05)
    torch.testing.assert_close(found[kept], 4 * whole[kept], rtol=1e-3, atol=1e-3)
    assert torch.equal(found, dare(0))
    assert (found - dare(1)).norm() > 0.1 * whole.norm()


def test_dare_drops_each_adapter_for_itself() -> None:
    one, two = random_adapter(0), random_adapter(1)
    way = Way(Method.DARE_LINEAR, rank=FULL, density=0.5)
    alone = [combine(parts([state], [1]), way).state for state in (one, two)]
    together = combine(parts([one, two], [1, 1]), way).state
    assert_updates(together, weighted(alone, [1, 1]), rtol=1e-4)


def test_what_is_trained_beside_stays_and_dropout_stays_where_all_agree() -> None:
    extra = {"head.weight": torch.randn(2, 2)}
    states = [random_adapter(s, extra=extra, trained=("head",), dropout=0.1) for s in (0, 1)]
    combined = combine(parts(states, [1, 1]), Way()).state
    assert torch.equal(combined.tensors["head.weight"], extra["head.weight"])
    assert (combined.spec.trained, combined.spec.dropout) == (("head",), 0.1)
    mixed = combine(parts([random_adapter(0, dropout=0.1), random_adapter(1)], [1, 1]), Way())
    assert mixed.state.spec.dropout == 0


def test_embeddings_stay_embeddings() -> None:
    states = [
        random_adapter(seed, {"embed": (4, 20), "a": (3, 3)}, embeddings=("embed",))
        for seed in (0, 1)
    ]
    combined = combine(parts(states, [1, 1]), Way()).state
    assert combined.spec.embeddings == ("embed",)
    expected = {m: dense_update(states[0], m) + dense_update(states[1], m) for m in ("embed", "a")}
    assert_updates(combined, expected)


def test_the_same_again_is_the_same_bit_for_bit() -> None:
    way = Way(Method.DARE_TIES, density=0.5)
    one, two = (combine(parts(several(), [1, 1, 1]), way).state for _ in range(2))
    assert same_tensors(one, two)
    assert one.spec == two.spec


@pytest.mark.parametrize("way", [Way(rank=0), Way(rank=-1), Way(density=0.0), Way(density=1.1)])
def test_ranks_and_densities_out_of_range(way: Way) -> None:
    with pytest.raises(UsageError, match=r"rank|density"):
        combine(parts([random_adapter()], [1]), way)
