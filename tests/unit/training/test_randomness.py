"""Random numbers of a step depend on (seed, step, rank) and nothing else."""

from __future__ import annotations

import torch

from lorafw.training.randomness import seed_step


def _drawn(seed: int, step: int, rank: int) -> float:
    seed_step(seed, step, rank)
    return float(torch.rand(()))


def test_the_same_place_draws_the_same() -> None:
    with torch.random.fork_rng():
        first = _drawn(1, 2, 3)
        torch.rand(100)
        assert _drawn(1, 2, 3) == first


def test_each_coordinate_matters() -> None:
    with torch.random.fork_rng():
        assert len({_drawn(1, 2, 3), _drawn(0, 2, 3), _drawn(1, 0, 3), _drawn(1, 2, 0)}) == 4
