"""What rounding alone does: the output of every layer moved by its dtype's last digit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def rounded_otherwise(module: nn.Module, seed: int) -> Iterator[None]:
    """While open, every number a leaf module returns is a unit in the last place up or down.

    Monte Carlo arithmetic (Parker 1997) at the precision of the layer's own dtype: a right
    computation of the same thing, on another machine or in another order, is about this far off.
    Gradients pass through the same factors, so they are rounded otherwise too.

    Args:
        module: the base model with its adapter.
        seed: of the directions.
    """
    shake = _Shake(seed)
    leaves = [part for part in module.modules() if not any(True for _ in part.children())]
    handles = [leaf.register_forward_hook(shake) for leaf in leaves]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Shake:
    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, _module: nn.Module, _inputs: Any, output: Any) -> Any:
        if not (isinstance(output, Tensor) and output.is_floating_point()):
            return output
        up = torch.empty(output.shape, dtype=torch.int8).random_(2, generator=self._generator)
        unit = torch.finfo(output.dtype).eps
        return output + output * ((up.to(output) * 2 - 1) * unit)
