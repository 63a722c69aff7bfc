"""Steps that are given up half way: whatever an engine has put by is to be gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lorafw.testing.reference import global_batches
from lorafw.testing.toy_engine import accumulate, advance, begin, opened
from lorafw.testing.values import equal

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from lorafw.contracts import Engine, Trainer


def check_giving_up(trainer: Trainer) -> None:
    """Give a step up in four ways, and take the right one after each; collective.

    Raises:
        AssertionError: the result is not that of a run that gave nothing up, bit for bit.
        NotPromised: the trainer has no engine of its own.
    """
    rows, outage = global_batches(), Outage()
    with opened(trainer, watch=outage.threaten) as engine:
        advance(engine, [0])
        kept = engine.state()
        advance(engine, [1])
        expected = engine.state()
        for when, give_up in _ways(engine, outage, rows[2]).items():
            engine.load_state(kept)
            give_up()
            engine.discard()
            assert equal(engine.state(), kept), f"given up {when}: the state has changed"
            advance(engine, [1])
            assert equal(engine.state(), expected), f"given up {when}: the next step differs"


class Outage:
    """Memory that runs out in a model's last layer, once it is told to.

    Attributes:
        during: the pass that is to fail, `forward` or `backward`; empty for none.
    """

    def __init__(self) -> None:
        self.during = ""

    def threaten(self, layers: list[nn.Module]) -> None:
        """Watch what the last layer puts out."""
        layers[-1].register_forward_hook(lambda _module, _inputs, output: self._seen(output))

    def _seen(self, output: Any) -> None:
        hidden: Tensor = output if isinstance(output, torch.Tensor) else output[0]
        self._strike("forward")
        if hidden.requires_grad:
            hidden.register_hook(self._on_the_way_back)  # type: ignore[no-untyped-call]

    def _on_the_way_back(self, _gradient: Tensor) -> None:
        self._strike("backward")

    def _strike(self, now: str) -> None:
        if now == self.during:
            self.during = ""
            raise torch.OutOfMemoryError(f"as asked, in the {now} pass")


def _ways(engine: Engine, outage: Outage, rows: Any) -> dict[str, Callable[[], None]]:
    """Ways into a step, but not to its end."""

    def fail(during: str) -> None:
        begin(engine, rows)
        outage.during = during
        try:
            accumulate(engine, rows)
        except torch.OutOfMemoryError:
            return
        raise AssertionError(f"the {during} pass did not fail")

    return {
        "after a micro-batch": lambda: begin(engine, rows),
        "before the update": lambda: accumulate(engine, rows),
        "when a forward pass failed": lambda: fail("forward"),
        "when a backward pass failed": lambda: fail("backward"),
    }
