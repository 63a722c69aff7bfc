"""An adapter folded into its base's live weights, and taken out again bit for bit."""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch

from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw.contracts.injector import AdaptedModel


class FoldedAdapter:
    """The base computes what the adapted model did, without the adapter's own passes.

    As long as this object lives: it holds the adapter's switch.

    Weights are folded in one at a time, so memory holds one more of them; and where the base is
    kept, a copy of each weight that changed, on the CPU.

    Args:
        model: the adapted model; its adapter does not act until `unfold`.
        keep_base: whether `unfold` shall be possible.

    Raises:
        AdapterError: the method, or the way the base's weights are held, cannot be merged.
    """

    def __init__(self, model: AdaptedModel, *, keep_base: bool) -> None:
        self._model, self._keeps = model, keep_base
        self._before: dict[str, Tensor] = {}
        self._off = ExitStack()
        weakref.finalize(self, self._off.close)  # at exit too, while there still is a torch
        trained = model.base_values().keys()
        trained_whole: dict[str, Tensor] = {}
        for name, tensor in model.merged_state():
            if name in trained:
                trained_whole[name] = tensor.clone()
            else:
                self._write(name, tensor)
        self._off.enter_context(model.disabled())  # modules as the base had them take their place
        for name, tensor in trained_whole.items():
            self._write(name, tensor)

    def unfold(self) -> None:
        """Give the base its weights back, bit for bit, and let the adapter act again.

        Raises:
            AdapterError: the base was not kept.
        """
        if not self._keeps:
            mend = "Load the model again, or merge it with keep_base."
            raise AdapterError("the base's weights were not kept.", mend=mend)
        with torch.no_grad():
            for name, tensor in self._before.items():
                self._model.base_tensor(name).copy_(tensor)
        self._before.clear()
        self._off.close()

    @torch.no_grad()
    def _write(self, name: str, tensor: Tensor) -> None:
        live = self._model.base_tensor(name)
        if live.data_ptr() == tensor.data_ptr():
            return
        if live.shape != tensor.shape or not live.is_floating_point():
            raise AdapterError(
                f"{name} is held as {live.dtype}, into which nothing can be merged.",
                mend="Write a merged model instead: lorafw adapter merge.",
            )
        if self._keeps:
            self._before[name] = live.to("cpu", copy=True)
        live.copy_(tensor)
