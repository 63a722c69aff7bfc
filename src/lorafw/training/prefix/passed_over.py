"""The layers below the lowest adapted one, run as ever or passed over.

What is replaced is the `forward` that a layer has at the moment, whoever put it there, and only for
one pass: hooks around the call of a layer stay outside, and other passes see nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Size, Tensor, nn

from lorafw.training.prefix.lowest import is_not_all, rows_are_trained
from lorafw.training.replaced_forward import Forward, replaced_forward

_ROWS = "hidden_states"
"""What layers that do not take them first call the rows that enter them."""


class Prefix:
    """A model's layers up to the lowest adapted one.

    Args:
        layers: the model's first layers, in their order; the last of these is the adapted one.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        *self._below, self._adapted = layers
        self._widths: dict[nn.Module, int] = {}

    def __len__(self) -> int:
        """How many layers there are below the adapted one."""
        return len(self._below)

    @contextmanager
    def computed(self, keep: Callable[[Tensor], None]) -> Iterator[None]:
        """While open, `keep` is given what enters the adapted layer in the first pass, detached.

        Raises:
            ConfigError: that has another form than what enters the first layer, or what enters
                the first layer wants a gradient.
        """
        seen: list[Size] = []
        wanted = [keep]

        def start(rows: Tensor) -> Tensor:
            seen.append(_frozen(rows).shape)
            return rows

        def end(rows: Tensor) -> Tensor:
            if seen != [rows.shape]:
                raise is_not_all()
            seen.clear()  # an objective may run the model more than once
            while wanted:
                wanted.pop()(rows.detach())
            return rows

        with ExitStack() as replaced:
            for layer in self._below:
                replaced.enter_context(replaced_forward(layer, self._noted(layer)))
            replaced.enter_context(replaced_forward(self._below[0], _entering(start)))
            replaced.enter_context(replaced_forward(self._adapted, _entering(end)))
            yield

    @contextmanager
    def passed_over(self, kept: Callable[[Size], Tensor]) -> Iterator[None]:
        """While open, the layers below hand on what enters them, and the adapted one gets `kept`.

        Args:
            kept: given the shape of what enters the first layer, what entered the adapted one.

        Raises:
            ConfigError: what enters the first layer wants a gradient.
        """

        def end(rows: Tensor) -> Tensor:
            return kept(_frozen(rows).shape).to(rows.device)

        with ExitStack() as replaced:
            for layer in self._below:
                replaced.enter_context(replaced_forward(layer, self._handing_on(layer)))
            replaced.enter_context(replaced_forward(self._adapted, _entering(end)))
            yield

    def _noted(self, layer: nn.Module) -> Callable[[Forward], Forward]:
        """The same forward, of whose result the form is remembered: rows, or a tuple of so many."""

        def wrap(forward: Forward) -> Forward:
            def noted(*given: Any, **named: Any) -> Any:
                made = forward(*given, **named)
                self._widths[layer] = len(made) if isinstance(made, tuple) else 0
                return made

            return noted

        return wrap

    def _handing_on(self, layer: nn.Module) -> Callable[[Forward], Forward]:
        width = self._widths[layer]

        def hand_on(*given: Any, **named: Any) -> Any:
            rows = given[0] if given else named[_ROWS]
            return (rows, *[None] * (width - 1)) if width else rows

        return lambda _: hand_on


def _entering(change: Callable[[Tensor], Tensor]) -> Callable[[Forward], Forward]:
    """The same forward, given other rows."""

    def wrap(forward: Forward) -> Forward:
        def changed(*given: Any, **named: Any) -> Any:
            if given:
                return forward(change(given[0]), *given[1:], **named)
            return forward(**{**named, _ROWS: change(named[_ROWS])})

        return changed

    return wrap


def _frozen(rows: Tensor) -> Tensor:
    if rows.requires_grad:
        raise rows_are_trained()
    return rows
