"""A basis that grows stays orthonormal, and what is left of a vector is orthogonal to it."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from lorafw_continual._basis import orthogonal, orthonormal

WIDTH = 20


def _vectors(seed: int, count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, WIDTH, generator=generator, dtype=torch.float64)


def _none() -> torch.Tensor:
    return torch.empty(0, WIDTH, dtype=torch.float64)


@given(seed=st.integers(0, 10**6), first=st.integers(1, 8), second=st.integers(0, 8))
def test_a_basis_that_grew_is_orthonormal_and_spans_all(seed: int, first: int, second: int) -> None:
    earlier, later = _vectors(seed, first), _vectors(seed + 1, second)
    basis = orthonormal(_none(), earlier)
    basis = torch.cat([basis, orthonormal(basis, later)])
    torch.testing.assert_close(basis @ basis.T, torch.eye(first + second, dtype=torch.float64))
    for vector in torch.cat([earlier, later]):
        assert orthogonal(vector, basis).norm() < 1e-9 * vector.norm()


@given(seed=st.integers(0, 10**6), count=st.integers(1, 8))
def test_what_is_left_of_a_vector_is_its_least_squares_rest(seed: int, count: int) -> None:
    directions, vector = _vectors(seed, count), _vectors(seed + 1, 1)[0]
    left = orthogonal(vector, orthonormal(_none(), directions))
    assert (directions @ left).abs().max() < 1e-9
    weights = torch.linalg.lstsq(directions.T, vector[:, None]).solution[:, 0]
    torch.testing.assert_close(left, vector - weights @ directions)


def test_directions_that_are_there_already_add_nothing() -> None:
    directions = _vectors(1, 3)
    basis = orthonormal(_none(), directions)
    again = torch.stack([directions.sum(0), torch.zeros(WIDTH, dtype=torch.float64)])
    assert orthonormal(basis, again).shape == (0, WIDTH)


def test_the_scale_of_a_direction_does_not_matter() -> None:
    directions = _vectors(2, 3)
    scales = torch.tensor([[1e-12], [1.0], [1e12]], dtype=torch.float64)
    found = orthonormal(_none(), directions * scales)
    torch.testing.assert_close(found, orthonormal(_none(), directions))
