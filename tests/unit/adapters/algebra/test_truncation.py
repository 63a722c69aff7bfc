"""Dense updates cut to a rank: exactly where they are small, nearly so where they are large."""

from __future__ import annotations

import pytest
import torch

from lorafw.adapters.algebra import truncation
from lorafw.adapters.algebra.truncation import nearest_of_rank


def update(out: int = 40, width: int = 60) -> torch.Tensor:
    return torch.randn(out, width, generator=torch.Generator().manual_seed(0))


def least_error(dense: torch.Tensor, rank: int) -> float:
    values = torch.linalg.svdvals(dense.double())
    return float(values[rank:].norm() / values.norm())


@pytest.mark.parametrize("rank", [1, 7, 40, 50])
def test_small_updates_are_cut_exactly(rank: int) -> None:
    dense = update()
    cut, error = nearest_of_rank(dense, rank, torch.Generator())
    assert error == pytest.approx(least_error(dense, rank), abs=1e-5)
    assert cut.down.shape[0] == min(rank, 40)
    assert float((dense - cut.dense()).norm() / dense.norm()) == pytest.approx(error)


@pytest.mark.parametrize("shape", [(300, 200), (200, 300)])
def test_large_updates_are_cut_nearly_as_well(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
) -> None:
    monkeypatch.setattr(truncation, "EXACT_UP_TO", 50)
    dense = update(*shape)  # a flat spectrum: the hardest there is
    cut, error = nearest_of_rank(dense, 8, torch.Generator().manual_seed(1))
    least = least_error(dense, 8)
    assert least <= error + 1e-6 < least * 1.002
    again, _ = nearest_of_rank(dense, 8, torch.Generator().manual_seed(1))
    assert torch.equal(cut.up, again.up)
    assert torch.equal(cut.down, again.down)


def test_large_updates_of_low_rank_are_found_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truncation, "EXACT_UP_TO", 50)
    dense = update(300, 4) @ update(4, 200)
    _, error = nearest_of_rank(dense, 4, torch.Generator().manual_seed(0))
    assert error < 1e-5


def test_no_update_has_no_error() -> None:
    cut, error = nearest_of_rank(torch.zeros(5, 4), 2, torch.Generator())
    assert error == 0
    assert not cut.dense().any()
