"""Rows of queries and keys, between the two orders in which rotary channels are paired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw_minimind.generations import Generation

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw_minimind.architecture import Architecture


def to_halves(module: str, rows: Tensor, form: Architecture) -> Tensor:
    """Rows as this package's network pairs them: channel i with i + head_dim / 2.

    Args:
        module: canonical name of the linear whose output channels the rows are.
        rows: [out, anything]: a weight, or the B of an adapter.
        form: gives the heads. Only 2025-02 checkpoints pair neighbours; else nothing is changed.
    """
    if (heads := _heads(module, form)) is None:
        return rows
    pairs = rows.reshape(heads, form.head_dim // 2, 2, -1)
    return pairs.transpose(1, 2).reshape(rows.shape)


def to_neighbours(module: str, rows: Tensor, form: Architecture) -> Tensor:
    """Rows as the checkpoint's generation pairs them; inverts `to_halves`."""
    if (heads := _heads(module, form)) is None:
        return rows
    halves = rows.reshape(heads, 2, form.head_dim // 2, -1)
    return halves.transpose(1, 2).reshape(rows.shape)


def _heads(module: str, form: Architecture) -> int | None:
    """Heads of a linear whose rows are permuted; None for every other."""
    if form.generation is not Generation.LMCONFIG:
        return None
    heads = {"q_proj": form.num_attention_heads, "k_proj": form.num_key_value_heads}
    return heads.get(module.rpartition(".")[2])
