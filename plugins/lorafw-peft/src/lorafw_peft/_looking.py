"""Looking at what goes into adapted layers while rows of data pass through the model."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from lorafw.types import IGNORE_INDEX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from torch import Tensor

    from lorafw.contracts import ModelBundle
    from lorafw.types import Batch

MEMORY = 2**30
"""Bytes that statistics of layers may take at a time; a single layer may take more."""


@torch.no_grad()
def look(
    bundle: ModelBundle,
    batch: Batch,
    layers: Mapping[str, Any],
    watchers: Mapping[str, Callable[[Tensor], None]],
    *,
    trained_only: bool = False,
) -> None:
    """Run one batch; every watcher is given the inputs of its layer, [tokens, in].

    Args:
        bundle: the model.
        batch: rows of data; padding is left out where a layer sees all positions (an expert of a
            mixture does not).
        layers: by module.
        watchers: by module.
        trained_only: only tokens whose prediction is trained.
    """
    counts = _counts(batch, trained_only=trained_only)

    def watch(see: Callable[[Tensor], None], _layer: Any, given: tuple[Tensor, ...]) -> None:
        rows = given[0].reshape(-1, given[0].shape[-1])
        see(rows[counts] if len(counts) == len(rows) else rows)

    with _hooked((layers[name], partial(watch, see)) for name, see in watchers.items()):
        bundle.hidden(batch.inputs)


@torch.no_grad()
def sharing(bundle: ModelBundle, batch: Batch, layers: Mapping[str, Any]) -> list[list[str]]:
    """Groups of layers that are given the very same tensor, such as q, k and v."""
    groups: list[list[str]] = []
    last: list[Tensor] = []

    def watch(name: str, _layer: Any, given: tuple[Tensor, ...]) -> None:
        if last and last[0] is given[0]:
            groups[-1].append(name)
        else:
            groups.append([name])
        last[:] = given[:1]

    with _hooked((layer, partial(watch, name)) for name, layer in layers.items()):
        bundle.hidden(batch.inputs)
    seen = {name for group in groups for name in group}
    return [list(dict.fromkeys(group)) for group in groups] + [
        [name] for name in layers if name not in seen
    ]


def in_turns(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Names in order, as many at a time as `MEMORY` has room for, and at least one.

    Args:
        sizes: fp32 numbers to be held, by name.
    """
    turn: list[str] = []
    for name, size in sizes.items():
        if turn and 4 * (size + sum(sizes[held] for held in turn)) > MEMORY:
            yield turn
            turn = []
        turn.append(name)
    if turn:
        yield turn


def _counts(batch: Batch, *, trained_only: bool) -> Tensor:
    """Which of all positions of the batch are looked at, [positions]."""
    ids = batch.inputs["input_ids"]
    real = batch.inputs.get("attention_mask", torch.ones_like(ids)).bool()
    if trained_only and batch.labels.shape == ids.shape:
        real = real & (batch.labels != IGNORE_INDEX)
    return real.flatten()


@contextmanager
def _hooked(hooks: Iterable[tuple[Any, Callable[..., None]]]) -> Iterator[None]:
    handles = [layer.register_forward_pre_hook(hook) for layer, hook in hooks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
