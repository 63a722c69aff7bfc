"""Adapters of random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lorafw.types import AdapterSpec, AdapterState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

SHAPES = {"layers.0.q": (6, 5), "layers.0.up": (9, 4), "layers.1.q": (6, 5)}
"""Out and in of modules."""


def random_adapter(
    seed: int = 0,
    shapes: Mapping[str, tuple[int, int]] = SHAPES,
    *,
    rank: int = 3,
    modules: Sequence[str] | None = None,
    extra: Mapping[str, Tensor] | None = None,
    **spec: Any,
) -> AdapterState:
    """An adapter in which nothing is zero; `spec` are further fields of its spec."""
    targets = tuple(shapes if modules is None else modules)
    whole = AdapterSpec(**{"rank": rank, "alpha": 5.0, "targets": targets, **spec})
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for module in targets:
        r, (out, width) = whole.rank_of(module), shapes[module]
        sizes = [(r, width), (out, r), (out,)]
        for name, size in zip(whole.names_of(module), sizes, strict=False):
            tensors[name] = torch.randn(size, generator=generator)
    return AdapterState(whole, {**tensors, **(extra or {})})


def dense_update(state: AdapterState, module: str) -> Tensor:
    """s·B·A by the definition, fp64; zero if the module is not adapted."""
    if module not in state.spec.targets:
        return torch.zeros(SHAPES[module], dtype=torch.float64)
    down, up = (state.tensors[name].double() for name in state.spec.pair_of(module))
    return state.spec.scaling_of(module) * up @ down


def assert_updates(state: AdapterState, expected: Mapping[str, Tensor], rtol: float = 1e-5) -> None:
    """Compare each module's update, relative to the norm of what is expected."""
    assert set(state.spec.targets) == set(expected)
    for module, update in expected.items():
        error = float((dense_update(state, module) - update).norm())
        assert error <= rtol * float(update.norm()) + 1e-12, module


def same_tensors(one: AdapterState, other: AdapterState) -> bool:
    """Whether two adapters have the same tensors bit for bit."""
    return one.tensors.keys() == other.tensors.keys() and all(
        torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items()
    )
