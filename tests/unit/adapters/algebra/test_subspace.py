from __future__ import annotations

import pytest
import torch

from lorafw.adapters.algebra.subspace import largest_singular


@pytest.mark.parametrize("shape", [(40, 25), (25, 40), (7, 7), (1, 5)])
def test_the_largest_triplets_are_those_of_the_whole_decomposition(
    shape: tuple[int, int],
) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    wanted = torch.linalg.svdvals(matrix)
    draw = torch.Generator().manual_seed(1)
    left, values, right = largest_singular(matrix, 4 + 8, draw, rounds=8)
    first = min(4, *shape)
    torch.testing.assert_close(values[:first], wanted[:first], rtol=1e-3, atol=1e-4)
    error = (matrix - left[:, :first] * values[:first] @ right[:first]).norm()
    assert float(error) <= float(wanted[first:].norm()) * 1.01 + 1e-4


def test_it_follows_from_the_generator_alone() -> None:
    matrix = torch.randn(9, 6)
    found = [
        largest_singular(matrix, 3, torch.Generator().manual_seed(5), rounds=2)[2] for _ in "ab"
    ]
    assert torch.equal(*found)
