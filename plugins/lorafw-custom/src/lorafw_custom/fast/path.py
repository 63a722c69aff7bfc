"""The fast path of one model: which layers take it, and how their formulas are run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from lorafw.errors import AdapterError
from lorafw_custom.fast.quickening import quicken
from lorafw_custom.fast.running import Runner, compiled, in_blocks, warily_compiled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorafw.contracts import ModelBundle
    from lorafw_custom.fast.layer import FastLayer

__all__ = ["Fast", "FastPath", "Kernels"]

Fast: TypeAlias = Literal["auto", "on", "off"]
Kernels: TypeAlias = Literal["auto", "compiled", "eager"]

WORTH_COMPILING = 2e10
"""Elements of rows from which `auto` compiles: some 25 s of one core are saved, and 20 s spent.

Counted from the plan alone, so that a resumed run, or one on other ranks, decides alike.
"""


class FastPath:
    """Lets the layers of an adapted model be computed by hand.

    Args:
        bundle: its module has its adapter already.
        fast: which layers: `auto` those that can, `on` all, `off` none.
        kernels: how formulas are run.

    Attributes:
        remarks: what the user should know, in words.

    Raises:
        AdapterError: all layers must, and one cannot.
    """

    def __init__(self, bundle: ModelBundle, *, fast: Fast, kernels: Kernels) -> None:
        self._fast, self._kernels, self._runner = fast, kernels, Runner()
        self.remarks: tuple[str, ...] = ()
        self._total = len(bundle.layers)
        self._layers: list[FastLayer] = []
        self._reasons: dict[str, str] = {}
        if fast != "off":
            self._layers, self._reasons = quicken(bundle, self._runner)
        if fast == "on":
            self._refuse_others()

    def prepare(self, tokens: int) -> None:
        """Settle how formulas are run, before the first step of a run of so many tokens."""
        self.remarks = self._on_layers()
        self._runner.way = in_blocks
        work = tokens * sum(layer.elements for layer in self._layers)
        wanted = self._kernels == "compiled" or (self._kernels == "auto" and work > WORTH_COMPILING)
        if wanted and self._layers and self._layers[0].whole:
            self._compile(self._layers[0])

    def _compile(self, layer: FastLayer) -> None:
        from torch._dynamo.exc import TorchDynamoException  # slow to import

        for way in (compiled, warily_compiled):
            self._runner.way = way
            try:
                layer.rehearse()
            except TorchDynamoException as error:
                cause = str(error).strip().splitlines()[0]
            else:
                return
        self._runner.way = in_blocks
        self.remarks += (f"Kernels cannot be compiled, so steps take longer: {cause}",)

    def _refuse_others(self) -> None:
        if not self._reasons and self._layers:
            return
        untold = {"the model": "it does not tell its layers"}
        name, reason = next(iter((self._reasons or untold).items()))
        fault = f"{name} cannot take the fast path: {reason}."
        raise AdapterError(fault, where="injector.fast", mend="Use auto or off.")

    def _on_layers(self) -> tuple[str, ...]:
        """Which layers take the fast path, and why others do not."""
        if not self._total or self._fast == "off":
            return ()
        if not all(layer.whole for layer in self._layers):
            return ("No layer takes the fast path: the trainer does not keep weights whole.",)
        taken = f"{len(self._layers)} of {self._total} layers take the fast path"
        causes = "; ".join(f"{count} do not: {why}" for why, count in _counted(self._reasons))
        return (f"{taken}; {causes}." if causes else f"{taken}.",)


def _counted(reasons: Mapping[str, str]) -> list[tuple[str, int]]:
    causes = list(reasons.values())
    return [(cause, causes.count(cause)) for cause in dict.fromkeys(causes)]
