"""Biases of a base that are trained beside the adapter."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

LEARNED = "learned_bias"
_START = "learned_bias_start"


class TrainedBiases:
    """Adds to the outputs of modules what their biases learned.

    The base's own bias stays in its place, so that no layer, quantised or fused, need know of it:
    an output y becomes y + (b - b₀), with b in fp32.

    Args:
        module: the base model, frozen, its adapter already in it; changed in place.
        names: full names of modules that add their bias to their output.

    Attributes:
        parameters: the biases, fp32, by the base's names.

    Raises:
        AdapterError: there is no such module, or it has no bias.
    """

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        self._enabled = True
        self.parameters: dict[str, nn.Parameter] = {}
        self._merged: dict[str, Callable[[], Tensor]] = {}
        for name in names:
            self._install(_module(module, name), name)
        self._start = {name: p.detach().clone() for name, p in self.parameters.items()}

    def base_values(self) -> dict[str, Tensor]:
        """What the biases were, in fp32."""
        return dict(self._start)

    def merged(self) -> Mapping[str, Callable[[], Tensor]]:
        """For every bias by the base's name, what rounds it to the base's dtype."""
        return self._merged

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """While open, every bias is the base's."""
        before, self._enabled = self._enabled, False
        try:
            yield
        finally:
            self._enabled = before

    def _install(self, part: nn.Module, name: str) -> None:
        bias = _bias_inside(part, name)
        learned = nn.Parameter(bias.detach().float().clone())
        part.register_parameter(LEARNED, learned)
        part.register_buffer(_START, bias.detach().float().clone(), persistent=False)
        part.register_forward_hook(self._shift)
        self.parameters[f"{name}.bias"] = learned
        self._merged[f"{name}.bias"] = partial(_rounded, learned, bias)

    def _shift(self, part: Any, _given: Any, result: Tensor) -> Tensor:
        if not self._enabled:
            return result
        learned: Tensor = getattr(part, LEARNED) - getattr(part, _START)
        return result + learned.to(result.dtype)


def _module(module: nn.Module, name: str) -> nn.Module:
    try:
        return module.get_submodule(name)
    except AttributeError:
        mend = "Is it the base the adapter was made for?"
        raise AdapterError(f"the model has no module {name}.", mend=mend) from None


def _bias_inside(part: nn.Module, name: str) -> nn.Parameter:
    """An injector may have put its own layer around the one with the bias."""
    for inner, parameter in part.named_parameters():
        if inner.rpartition(".")[2] == "bias":
            return parameter
    mend = "Is it the base the adapter was made for?"
    raise AdapterError(f"{name} has no bias in this model.", mend=mend)


def _rounded(learned: Tensor, bias: Tensor) -> Tensor:
    return learned.detach().to(bias.dtype)
