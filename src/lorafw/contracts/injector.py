"""LoRAInjector: puts an adapter into a base model and keeps hold of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from lorafw.contracts.component import Component
from lorafw.contracts.model import ModelBundle
from lorafw.types import AdapterSpec, AdapterState, Capability

if TYPE_CHECKING:
    from torch import Tensor, nn


class AdaptedModel(ABC):
    """A base model with exactly one live adapter.

    Parameters keep their identity for the whole life of the object: loading and resetting write
    into them, so an optimizer that holds them stays right.
    """

    bundle: ModelBundle
    spec: AdapterSpec

    @abstractmethod
    def trainable(self) -> Mapping[str, nn.Parameter]:
        """The trainable parameters, fp32, under canonical names, in a fixed order.

        Behind the adapter's come those of the bundle's `head_modules`, under the base's names.
        """

    @abstractmethod
    def disabled(self) -> AbstractContextManager[None]:
        """While open, the model computes what the base alone computes."""

    @abstractmethod
    def merged_state(self) -> Iterator[tuple[str, Tensor]]:
        """The base's tensors under base names, update folded in, one at a time.

        Those of trained modules come as they are now.

        The sum W + scaling · B·A is formed in fp32 and rounded once to the dtype of W.
        Tied weights come under every name the base's own checkpoint has them.
        """

    def train(self, mode: bool) -> None:
        """Switch the adapter's own randomness (dropout); the base stays in eval."""

    def state(self) -> AdapterState:
        """A copy of the adapter on the CPU, as it is exported."""
        tensors = {name: p.detach().float().cpu().clone() for name, p in self.trainable().items()}
        return AdapterState(self.spec, tensors)

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Write values into the live parameters.

        Raises:
            AdapterError: a name is missing or too many, or a shape differs.
        """
        from lorafw.contracts._adapter_values import copy_values

        copy_values(self.trainable(), tensors)

    def base_values(self) -> Mapping[str, Tensor]:
        """What the tensors of trained modules are in the base, by canonical name."""
        return {}

    def reset(self, seed: int) -> None:
        """Fresh values, a pure function of (seed, name): the same under every injector.

        Trained modules get back what they are in the base.
        """
        from lorafw.contracts._adapter_values import fresh_values

        base = self.base_values()
        factors = {name: p for name, p in self.trainable().items() if name not in base}
        self.load_state({**fresh_values(factors, seed), **base})

    def after_step(self, step: int) -> None:
        """Called once after every optimizer step; most methods have nothing to do."""


class LoRAInjector(Component, ABC):
    """Puts low-rank adapters into a base model (Hu et al. 2021, arXiv:2106.09685)."""

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[Capability]:
        """What the adapted model will be able to do with these options."""

    @abstractmethod
    def inject(self, bundle: ModelBundle) -> AdaptedModel:
        """Adapt the bundle's module in place; only adapter parameters stay trainable.

        Raises:
            AdapterError: no module matches, or the model carries an adapter already.
        """

    @abstractmethod
    def for_spec(self, spec: AdapterSpec) -> LoRAInjector:
        """An injector of the same kind that makes exactly the adapter `spec` describes.

        Raises:
            AdapterError: this injector cannot make such an adapter.
        """
