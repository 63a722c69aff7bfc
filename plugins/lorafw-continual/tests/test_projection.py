"""Gradients are projected as the papers define it, against another solver and by hand."""

from __future__ import annotations

from collections.abc import Callable

import clarabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from lorafw_continual._projection import dual_weights, onto_cone, onto_half_space


def _vectors(seed: int, rows: int, width: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, width, generator=generator, dtype=torch.float64)


def _uneven(seed: int, rows: int) -> torch.Tensor:
    """Vectors that are much alike, and of lengths from about a thousandth to a thousand."""
    alike = _vectors(seed + 3, 1) + 0.1 * _vectors(seed, rows)
    generator = torch.Generator().manual_seed(seed)
    powers = torch.rand(rows, 1, generator=generator, dtype=torch.float64) * 6 - 3
    return alike * 10**powers


def _by_clarabel(gram: NDArray[np.float64], products: NDArray[np.float64]) -> list[float]:
    """argmin_v 1/2 vᵀ·gram·v + productsᵀv over v ≥ 0 by an interior-point method."""
    count = len(products)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-12
    solver = clarabel.DefaultSolver(
        sparse.csc_matrix(np.triu(gram)),
        products,
        sparse.csc_matrix(-np.eye(count)),
        np.zeros(count),
        [clarabel.NonnegativeConeT(count)],
        settings,
    )
    return list(solver.solve().x)


@settings(deadline=None)  # a solver is loaded on the way
@given(seed=st.integers(0, 10**6), tasks=st.integers(1, 6))
def test_the_dual_is_solved_as_a_qp_solver_solves_it(seed: int, tasks: int) -> None:
    memories, gradient = _vectors(seed, tasks), _vectors(seed + 1, 1)[0]
    gram, products = (memories @ memories.T).numpy(), (memories @ gradient).numpy()
    found = dual_weights(gram, products)
    np.testing.assert_allclose(found, _by_clarabel(gram, products), atol=1e-6)


@settings(deadline=None)  # a solver is loaded on the way
@given(
    seed=st.integers(0, 10**6),
    tasks=st.integers(1, 6),
    drawn=st.sampled_from([_vectors, _uneven]),
    length=st.sampled_from([1e-6, 1.0, 1e3]),
)
def test_the_projection_is_the_nearest_vector_that_harms_no_task(
    seed: int, tasks: int, drawn: Callable[[int, int], torch.Tensor], length: float
) -> None:
    memories, gradient = drawn(seed, tasks), _vectors(seed + 1, 1)[0]
    found = onto_cone(length * gradient, memories, margin=0.0) / length
    assert (torch.nn.functional.normalize(memories) @ found).min() > -1e-6
    # a projection onto a convex cone leaves a rest that is orthogonal to it, and obtuse to the cone
    assert abs(float((gradient - found) @ found)) < 1e-6
    inside = onto_cone(_vectors(seed + 2, 1)[0], memories, margin=0.0)
    assert float((gradient - found) @ inside) < 1e-6


def test_a_gradient_that_harms_no_task_is_left_alone() -> None:
    memories, gradient = torch.eye(3)[:2], torch.tensor([1.0, 0.0, -5.0])
    assert onto_cone(gradient, memories, margin=0.5) is gradient
    assert onto_half_space(gradient, memories[0]) is gradient


def test_the_margin_is_added_to_the_solution_of_the_dual() -> None:
    memories, gradient = torch.eye(3)[:2], torch.tensor([-1.0, 2.0, 3.0])
    found = onto_cone(gradient, memories, margin=0.5)
    torch.testing.assert_close(found, torch.tensor([0.5, 2.5, 3.0]))


def test_memories_that_are_alike_make_no_trouble() -> None:
    memory = _vectors(3, 1)
    found = onto_cone(-memory[0], torch.cat([memory, memory, memory]), margin=0.0)
    torch.testing.assert_close(found, torch.zeros(12, dtype=torch.float64), atol=1e-6, rtol=0.0)


def test_a_memory_without_a_gradient_asks_for_nothing() -> None:
    memories, gradient = torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([-1.0, 2.0])
    torch.testing.assert_close(onto_cone(gradient, memories, 0.0), torch.tensor([0.0, 2.0]))


@given(seed=st.integers(0, 10**6))
def test_of_one_memory_the_half_space_is_the_cone(seed: int) -> None:
    reference, gradient = _vectors(seed, 1), _vectors(seed + 1, 1)[0]
    found = onto_half_space(gradient, reference[0])
    torch.testing.assert_close(found, onto_cone(gradient, reference, 0.0), atol=1e-8, rtol=0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_projected_keeps_its_dtype(dtype: torch.dtype) -> None:
    reference, gradient = torch.ones(4, dtype=dtype), -torch.ones(4, dtype=dtype)
    assert onto_half_space(gradient, reference).dtype is dtype
    assert onto_cone(gradient, reference[None], 0.0).dtype is dtype
