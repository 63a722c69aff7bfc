"""Which adapter answers which request of a batch, and the hooks that see to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.utils.hooks import RemovableHandle

    from lorafw.inference.adapter_effects import Effect


class RequestHooks:
    """Hooks on a base's modules that give each request of a batch the adapter it asked for.

    Args:
        model: the base; only hooks are added to it.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._effects: dict[str, dict[str, list[Effect]]] = {}
        self._handles: dict[str, RemovableHandle] = {}
        self._asked: tuple[str | None, ...] = ()

    def add(self, adapter: str, effects: Mapping[str, Sequence[Effect]]) -> None:
        """Make an adapter's effects, by module name, available."""
        for module, several in effects.items():
            self._effects.setdefault(module, {})[adapter] = list(several)
            if module not in self._handles:
                self._handles[module] = self._hook(module)

    def remove(self, adapter: str) -> None:
        """Forget an adapter, and the hooks that nobody needs any more."""
        for module, by_adapter in list(self._effects.items()):
            by_adapter.pop(adapter, None)
            if not by_adapter:
                self._handles.pop(module).remove()
                del self._effects[module]

    @contextmanager
    def asked(self, adapters: Sequence[str | None]) -> Iterator[None]:
        """While open, request i of a batch is answered by `adapters[i]`; None is the base."""
        before, self._asked = self._asked, tuple(adapters)
        try:
            yield
        finally:
            self._asked = before

    def _hook(self, name: str) -> RemovableHandle:
        def hook(_module: nn.Module, args: tuple[Any, ...], out: Tensor) -> Tensor | None:
            return self._answer(name, args[0], out)

        return self._model.get_submodule(name).register_forward_hook(hook)

    def _answer(self, module: str, x: Tensor, out: Tensor) -> Tensor | None:
        by_adapter = self._effects[module]
        wanted = {name for name in self._asked if name is not None and name in by_adapter}
        if not wanted:
            return None
        if len(set(self._asked)) == 1:
            return _applied(by_adapter[wanted.pop()], x, out)
        self._check_rows(module, x, out)
        out = out.clone()
        for adapter in wanted:
            rows = [row for row, name in enumerate(self._asked) if name == adapter]
            chosen = torch.tensor(rows, device=out.device)
            out[chosen] = _applied(by_adapter[adapter], x[chosen], out[chosen])
        return out

    def _check_rows(self, module: str, x: Tensor, out: Tensor) -> None:
        """Experts are given tokens of all requests mixed; there a request has no row."""
        if out.ndim < 3 or len(x) != len(self._asked):
            fault = f"{module} does not see requests row by row, so they cannot be mixed."
            raise AdapterError(fault, mend="Ask one adapter at a time.")


def _applied(effects: Sequence[Effect], x: Tensor, out: Tensor) -> Tensor:
    for effect in effects:
        out = effect(x, out)
    return out
