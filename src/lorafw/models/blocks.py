"""The blocks that a model of transformers repeats: its decoder or encoder layers, their MLPs."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

_FEED_FORWARD = ("mlp", "feed_forward", "ffn", "block_sparse_moe")
"""What the families call it; in an encoder of BERT's kind it is no module of its own."""


def repeated_blocks(module: nn.Module) -> tuple[nn.Module, ...]:
    """The outermost blocks, first to last.

    They are those that transformers itself would checkpoint; where it marks none, as in Python
    files that come with a model, the members of the outermost numbered lists.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    marked = _outermost(module, GradientCheckpointingLayer)
    if marked:
        return marked
    lists = _outermost(module, nn.ModuleList)
    return tuple(block for each in lists for block in each.children() if _computes(block))


def feed_forward_parts(blocks: Iterable[nn.Module]) -> tuple[nn.Module, ...]:
    """The MLP, or the experts with their router, of every block that has it as one module."""
    found = (getattr(block, name, None) for block in blocks for name in _FEED_FORWARD)
    return tuple(part for part in found if isinstance(part, nn.Module))


def _computes(block: nn.Module) -> bool:
    return next(block.parameters(), None) is not None


def _outermost(module: nn.Module, kind: type[nn.Module]) -> tuple[nn.Module, ...]:
    """Modules of a kind that lie in no other of that kind, each once."""
    found: list[nn.Module] = []
    for child in module.children():
        inside = (child,) if isinstance(child, kind) else _outermost(child, kind)
        found.extend(part for part in inside if part not in found)
    return tuple(found)
