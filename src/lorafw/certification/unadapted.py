"""A whole model as an exporter takes it: adapted by nothing."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from lorafw.adapters.live.base_tensors import merged_tensors, tensor_of
from lorafw.contracts.injector import AdaptedModel
from lorafw.models.names import checkpoint_names
from lorafw.types import AdapterSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    from lorafw.contracts.model import ModelBundle


class UnadaptedModel(AdaptedModel):
    """A base or merged model that has no adapter of its own any more."""

    def __init__(self, bundle: ModelBundle) -> None:
        self.bundle = bundle
        self.spec = AdapterSpec(rank=1, alpha=1.0, targets=())

    def trainable(self) -> Mapping[str, nn.Parameter]:
        """Nothing."""
        return {}

    def disabled(self) -> AbstractContextManager[None]:
        """The model as it is."""
        return contextlib.nullcontext()

    def merged_state(self) -> Iterator[tuple[str, Tensor]]:
        """Its tensors as they are."""
        module = self.bundle.module
        return merged_tensors(checkpoint_names(module), partial(tensor_of, module), {})
