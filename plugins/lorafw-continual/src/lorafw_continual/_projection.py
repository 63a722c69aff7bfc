"""Projections of a gradient onto directions in which no earlier loss grows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_RIDGE = 1e-10
"""Added to the Gram matrix of vectors of unit length: earlier gradients may be parallel."""


def onto_cone(gradient: Tensor, memories: Tensor, margin: float) -> Tensor:
    """The nearest vector to a gradient that has no negative product with any memory, for margin 0.

    The dual of Lopez-Paz & Ranzato 2017, arXiv:1706.08840, eq. 11: with G the memories,
    v* = argmin_v ½ vᵀGGᵀv + gᵀGᵀv over v ≥ 0, and g̃ = Gᵀ(v* + margin) + g. A gradient that
    violates nothing (eq. 8) is given back as it is.

    Args:
        gradient: g, [parameters].
        memories: G, [tasks, parameters], on the same device.
        margin: γ, added to every v*: it turns the update towards the earlier tasks.
    """
    wide = memories.double()
    products = (wide @ gradient.double()).cpu().numpy()
    if (products >= 0).all():
        return gradient
    weights = torch.from_numpy(dual_weights((wide @ wide.T).cpu().numpy(), products) + margin)
    return (gradient.double() + weights.to(gradient.device) @ wide).to(gradient.dtype)


def dual_weights(gram: NDArray[np.float64], products: NDArray[np.float64]) -> NDArray[np.float64]:
    """argmin_v ½ vᵀ·gram·v + productsᵀv over v ≥ 0, by an active-set method.

    With gram = LLᵀ the same as the least squares of Lᵀv + L⁻¹·products. All vectors are taken at
    unit length, and v for their own afterwards: a small one's harm weighs as much as a large one's.

    Args:
        gram: [n, n], symmetric, positive semidefinite.
        products: [n].
    """
    from scipy.linalg import cholesky, solve_triangular
    from scipy.optimize import lsq_linear

    lengths = np.sqrt(np.diagonal(gram))
    lengths[lengths == 0] = 1.0
    cosines, against = gram / np.outer(lengths, lengths), products / lengths
    size = float(np.abs(against).max()) or 1.0
    factor = cholesky(cosines + _RIDGE * np.eye(len(gram)), lower=True)
    wanted = -solve_triangular(factor, against / size, lower=True)
    found = lsq_linear(factor.T, wanted, bounds=(0.0, np.inf), method="bvls", tol=1e-12)
    return np.asarray(found.x * size / lengths, np.float64)


def onto_half_space(gradient: Tensor, reference: Tensor) -> Tensor:
    """The nearest vector to a gradient that has no negative product with a reference.

    Chaudhry et al. 2019, arXiv:1812.00420, eq. 11: g̃ = g - (gᵀr / rᵀr) r, where gᵀr < 0.

    Args:
        gradient: g, [parameters].
        reference: r, of the same shape and device.
    """
    wide = reference.double()
    product = gradient.double() @ wide
    if product >= 0:
        return gradient
    return (gradient.double() - product / (wide @ wide) * wide).to(gradient.dtype)
