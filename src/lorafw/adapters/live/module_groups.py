"""Which part of a layer a module belongs to, whatever a family calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

GROUPS = ("experts", "attention", "mlp")
"""What a pattern's key can name besides modules; the first that a module belongs to decides."""

_ATTENTION = ("attention", "attn")
_MLP = ("mlp", "ffn", "feedforward", "moe", "intermediate", "output", "experts", "fc1", "fc2")


def groups_of(module: nn.Module, name: str) -> tuple[str, ...]:
    """The groups of `GROUPS` that a module is in: `("experts", "mlp")`, `("attention",)`, ….

    Told by it and the modules around it: by whole words of their names (`self_attn`,
    `feed_forward`) and by what the names of their classes end with (`LlamaAttention`, `GPT2MLP`).
    A layer's experts are in its `mlp`, too; one that every token passes (`shared_expert`) is in
    that alone.

    Args:
        module: the model.
        name: full name of a module in it.
    """
    parts = name.split(".")
    around = [".".join(parts[:depth]) for depth in range(1, len(parts))]
    classes = [type(module.get_submodule(each)).__name__.lower() for each in around]
    words = {word for part in parts for word in (*part.split("_"), part.replace("_", ""))}
    if words.intersection(_ATTENTION) or any(each.endswith(_ATTENTION) for each in classes):
        return ("attention",)
    if "experts" in parts:
        return ("experts", "mlp")
    in_mlp = words.intersection(_MLP) or any(each.endswith(_MLP) for each in classes)
    return ("mlp",) if in_mlp else ()
