"""Thin factors tell of an update all that the dense product would."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.adapters.states import SHAPES, dense_update, random_adapter

from lorafw.adapters.algebra.low_rank import LowRank, update_of, weighted_sum

sizes = st.integers(1, 9)


@st.composite
def updates(draw: st.DrawFn, out: int | None = None, width: int | None = None) -> LowRank:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    out, width = out or draw(sizes), width or draw(sizes)
    rank = draw(sizes)
    kinds = {"generator": generator, "dtype": torch.float64}
    return LowRank(torch.randn(out, rank, **kinds), torch.randn(rank, width, **kinds))


def product(update: LowRank) -> torch.Tensor:
    return update.up @ update.down


@settings(deadline=None)
@given(updates())
def test_singular_values_are_those_of_the_dense_update(update: LowRank) -> None:
    found, dense = update.decompose(), product(update)
    expected = torch.linalg.svdvals(dense)
    count = min(*update.shape, update.down.shape[0])
    assert len(found.values) == count
    torch.testing.assert_close(found.values, expected[:count])
    whole = found.left * found.values @ found.right
    torch.testing.assert_close(whole, dense)
    for basis in (found.left, found.right.T):
        torch.testing.assert_close(basis.T @ basis, torch.eye(count, dtype=torch.float64))


@settings(deadline=None)
@given(updates(), st.integers(1, 9))
def test_a_cut_is_the_nearest_of_its_rank(update: LowRank, rank: int) -> None:
    found, dense = update.decompose(), product(update)
    cut = found.cut(rank)
    u, s, v = torch.linalg.svd(dense, full_matrices=False)
    nearest = u[:, :rank] * s[:rank] @ v[:rank]
    lost = (dense - product(cut)).norm()
    torch.testing.assert_close(lost, (dense - nearest).norm(), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(
        found.error_at(rank), float(lost / dense.norm()), rtol=1e-6, atol=1e-9
    )
    torch.testing.assert_close(cut.up.norm(), cut.down.norm())


@settings(deadline=None)
@given(st.data())
def test_norms_products_and_sums(data: st.DataObject) -> None:
    one, other = data.draw(updates(5, 7)), data.draw(updates(5, 7))
    x, y = product(one), product(other)
    torch.testing.assert_close(one.norm(), float(x.norm()))
    torch.testing.assert_close(one.inner(other), float((x * y).sum()))
    torch.testing.assert_close(product(weighted_sum((one, other), (2, -0.5))), 2 * x - 0.5 * y)


def test_the_norm_of_what_cancels_is_small() -> None:
    update = update_of(random_adapter(), "layers.0.q")
    assert weighted_sum((update, update), (1, -1)).norm() < 1e-14 * update.norm()


def test_no_update_is_nothing() -> None:
    none = LowRank(torch.zeros(4, 2), torch.ones(2, 3))
    found = none.decompose()
    assert not found.values.any()
    assert found.error_at(1) == 0
    assert not found.cut(1).dense().any()


def test_an_update_has_its_scaling() -> None:
    state = random_adapter(use_rslora=True, rank_pattern={"layers.0.up": 2})
    for module in SHAPES:
        update = update_of(state, module)
        assert update.shape == SHAPES[module]
        torch.testing.assert_close(update.dense(), dense_update(state, module).float())


def test_of_an_embedding_the_transpose() -> None:
    spec = {"targets": ("embed",), "embeddings": ("embed",)}
    state = random_adapter(shapes={"embed": (4, 50)}, **spec)
    assert "embed.lora_embedding_A" in state.tensors
    assert update_of(state, "embed").shape == (4, 50)
