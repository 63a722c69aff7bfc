"""TIES and DARE, by their definitions and by examples worked out by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorafw.adapters.algebra.sparse_merging import agreeing_mean, dropped, total, trimmed


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(0, 999), st.floats(0.01, 1.0))
def test_trimming_keeps_the_largest(seed: int, density: float) -> None:
    update = torch.randn(7, 5, generator=generator(seed))
    found = trimmed(update, density)
    kept = found != 0
    assert int(kept.sum()) == max(1, round(density * 35))
    assert torch.equal(found[kept], update[kept])
    if not kept.all():
        assert update[~kept].abs().max() < update[kept].abs().min()


def test_the_paper_s_steps_by_hand() -> None:
    one = torch.tensor([4.0, -3.0, 0.1, 2.0])
    two = torch.tensor([-1.0, -5.0, 3.0, 0.2])
    first, second = trimmed(one, 0.75), trimmed(two, 0.75)
    assert first.tolist() == [4, -3, 0, 2]
    assert second.tolist() == [-1, -5, 3, 0]
    # Signs elected: +, -, +, +; the mean is over those that have it.
    assert agreeing_mean([first, second]).tolist() == [4, -4, 3, 2]


def test_where_the_sum_is_zero_nothing_stays() -> None:
    assert agreeing_mean([torch.tensor([2.0, 0.0]), torch.tensor([-2.0, 0.0])]).tolist() == [0, 0]


def test_one_update_agrees_with_itself() -> None:
    update = torch.randn(4, 3, generator=generator())
    assert torch.equal(agreeing_mean([update]), update)
    assert torch.equal(total([update]), update)


def test_peft_merges_equally_weighted_updates_alike() -> None:
    ties = pytest.importorskip("peft.utils.merge_utils").ties
    updates = [torch.randn(10, 8, generator=generator(seed)) for seed in range(3)]
    ours = agreeing_mean([trimmed(update, 0.25) for update in updates])
    torch.testing.assert_close(ours, ties(updates, torch.ones(3), density=0.25))


@pytest.mark.parametrize("density", [0.2, 0.5, 0.9])
def test_dropping_keeps_the_share_and_the_expectation(density: float) -> None:
    update = torch.full((400, 300), 3.0)
    found = dropped(update, density, generator())
    kept = found != 0
    assert float(kept.float().mean()) == pytest.approx(density, abs=0.01)
    torch.testing.assert_close(found[kept], update[kept] / density)
    assert float(found.mean()) == pytest.approx(3.0, rel=0.02)


def test_dropping_follows_from_the_generator_and_full_density_drops_nothing() -> None:
    update = torch.randn(20, 20, generator=generator())
    assert torch.equal(dropped(update, 0.5, generator(1)), dropped(update, 0.5, generator(1)))
    assert not torch.equal(dropped(update, 0.5, generator(1)), dropped(update, 0.5, generator(2)))
    assert torch.equal(dropped(update, 1.0, generator()), update)
