"""How formulas are run: in blocks of rows that stay in the cache, or compiled."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["Runner", "compiled", "in_blocks", "warily_compiled"]

_BLOCK = 64
_CACHED = ("cpu", "meta")  # the latter stands for the former where memory is foretold


class Runner:
    """Runs the formulas of a model, all in the same way.

    Attributes:
        way: `in_blocks` or `compiled`; both round each value once, but not always to the same side.
    """

    def __init__(self) -> None:
        self.way: Callable[..., None] = in_blocks

    def __call__(self, formula: Callable[..., None], *rows: Tensor, **constants: Any) -> None:
        """Run a formula over rows, which it changes in place."""
        self.way(formula, *rows, **constants)


def in_blocks(formula: Callable[..., None], *rows: Tensor, **constants: Any) -> None:
    """Run a formula operation by operation, on a CPU in blocks that stay in its cache."""
    if rows[0].device.type not in _CACHED:
        formula(*rows, **constants)
        return
    for block in zip(*(torch.split(each, _BLOCK) for each in rows), strict=True):
        formula(*block, **constants)


def compiled(formula: Callable[..., None], *rows: Tensor, **constants: Any) -> None:
    """Run a formula as one kernel, compiled once for all layers, lengths and widths.

    The compiler is taken to know all instructions of the processor, which saves trying each.

    Raises:
        TorchDynamoException: it could not be compiled.
    """
    _compiled(formula, *rows, trusting=True, **constants)


def warily_compiled(formula: Callable[..., None], *rows: Tensor, **constants: Any) -> None:
    """As `compiled`, for a compiler older than the processor: its instructions are tried first."""
    _compiled(formula, *rows, trusting=False, **constants)


def _compiled(
    formula: Callable[..., None], *rows: Tensor, trusting: bool, **constants: Any
) -> None:
    from torch._dynamo.exc import FailOnRecompileLimitHit  # slow to import

    try:
        _kernel(formula, trusting)(*rows, **constants)
    except FailOnRecompileLimitHit:  # a process that trained many kinds of models
        in_blocks(formula, *rows, **constants)


@functools.cache
def _kernel(formula: Callable[..., None], trusting: bool) -> Callable[..., None]:
    # One thread compiles: a pool of processes would stay for as long as training does.
    instructions = {"cpp.vec_isa_ok": True} if trusting else {}
    options: Any = {"compile_threads": 1, **instructions}
    kernel: Callable[..., None] = torch.compile(
        formula, dynamic=True, fullgraph=True, options=options
    )
    return kernel
