"""The blocks that a model of transformers repeats: its decoder or encoder layers."""

from __future__ import annotations

from torch import nn


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


def _computes(block: nn.Module) -> bool:
    return next(block.parameters(), None) is not None


def _outermost(module: nn.Module, kind: type[nn.Module]) -> tuple[nn.Module, ...]:
    """Modules of a kind that lie in no other of that kind, each once."""
    found: list[nn.Module] = []
    for child in module.children():
        inside = (child,) if isinstance(child, kind) else _outermost(child, kind)
        found.extend(part for part in inside if part not in found)
    return tuple(found)
