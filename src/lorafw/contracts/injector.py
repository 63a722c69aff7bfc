"""LoRAInjector: puts an adapter into a base model and keeps hold of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from lorafw.contracts.component import Component
from lorafw.contracts.model import ModelBundle
from lorafw.errors import AdapterError
from lorafw.types import AdapterSpec, AdapterState, Batch, Capability

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lorafw.contracts.objective import Objective


class AdaptedModel(ABC):
    """A base model with exactly one live adapter.

    Parameters keep their identity for the whole life of the object: loading and resetting write
    into them, so an optimizer that holds them stays right.
    """

    bundle: ModelBundle
    spec: AdapterSpec

    wants_gradients: bool = False
    """Whether `before_step` reads gradients; needs an engine with `WHOLE_GRADIENTS`."""

    start_rows: int = 0
    """How many training rows a fresh adapter looks at before its first step; 0 for none."""

    @property
    def remarks(self) -> Sequence[str]:
        """What the user should know of how it computes, told once after `prepare_steps`."""
        return ()

    @abstractmethod
    def trainable(self) -> Mapping[str, nn.Parameter]:
        """The trainable parameters, fp32, under canonical names, in a fixed order.

        Behind the adapter's come those of modules that are trained whole, under the base's names,
        and trained rows of embeddings.
        """

    def frozen(self) -> Mapping[str, Tensor]:
        """Parameters that training must leave as they are, to the bit, by their live names.

        All that are not trained; an adapter that changes one of them itself leaves it out.
        """
        named = self.bundle.module.named_parameters()
        return {name: parameter for name, parameter in named if not parameter.requires_grad}

    @abstractmethod
    def disabled(self) -> AbstractContextManager[None]:
        """While open, the model computes what the base alone computes."""

    def showing(
        self,
        tokens: Tensor,  # noqa: ARG002 - for those that have some
        *,
        learning: Tensor | None = None,  # noqa: ARG002
    ) -> AbstractContextManager[None]:
        """While open, only these virtual tokens stand before rows, in this order.

        `spec` and `state` then tell of them alone; what is trained keeps its place and shape.
        Without any the model is the base, but for modules that are trained whole.

        Args:
            tokens: their numbers, int64, [count] for every row alike, or [rows, count] for each
                row (segment) of the batches to come.
            learning: numbers of those that get gradients, int64, any shape; None for all of them.

        Raises:
            AdapterError: this adapter has none that can be chosen from, or not these. `state`
                raises it where rows are shown their own, or none are shown.
        """
        raise AdapterError(
            f"{self.spec.method} has no virtual tokens that can be chosen from.",
            where="injector",
            mend="Use prompt tuning: injector peft with method prompt_tuning.",
        )

    @abstractmethod
    def merged_state(self) -> Iterator[tuple[str, Tensor]]:
        """The base's tensors under base names, update folded in, one at a time.

        Those of trained modules come as they are now.

        The sum W + scaling · B·A is formed in fp32 and rounded once to the dtype of W.
        Tied weights come under every name the base's own checkpoint has them.
        """

    def base_tensor(self, name: str) -> Tensor:
        """The live tensor of the base that its checkpoint calls by this name."""
        owner, _, attribute = name.rpartition(".")
        tensor: Tensor = getattr(self.bundle.module.get_submodule(owner), attribute)
        return tensor

    def train(self, mode: bool) -> None:
        """Switch the adapter's own randomness (dropout); the base stays in eval."""

    def state(self) -> AdapterState:
        """A copy of the adapter on the CPU, in the form in which it is exported.

        A start that moves the base (PiSSA) is exported as plain LoRA of twice the rank, so the
        spec and the names of this state may differ from those of the live parameters.
        """
        tensors = {name: p.detach().float().cpu().clone() for name, p in self.trainable().items()}
        return AdapterState(self.spec, tensors)

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Write values into the live parameters.

        Raises:
            AdapterError: a name is missing or too many, or a shape differs.
        """
        from lorafw.contracts._adapter_values import copy_values

        copy_values(self.trainable(), tensors)

    def training_state(self) -> Mapping[str, Tensor]:
        """What a checkpoint needs beyond the live parameters, by name, on the CPU.

        Such as the factors a start subtracts from the base, or a method's running statistics.
        """
        return {}

    def load_training_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what `training_state` gave.

        Raises:
            AdapterError: it is not of this adapter.
        """
        if tensors:
            raise AdapterError(f"there is no place for {min(tensors)} of the checkpoint.")

    def base_values(self) -> Mapping[str, Tensor]:
        """What parameters that stand for something of the base start as, by canonical name.

        The tensors of trained modules, and DoRA's magnitudes: the lengths of the weight's rows.
        """
        return {}

    def reset(self, seed: int) -> None:
        """Fresh values, a pure function of (seed, name): the same under every injector.

        Trained modules get back what they are in the base.
        """
        from lorafw.contracts._adapter_values import fresh_values

        base = self.base_values()
        factors = {name: p for name, p in self.trainable().items() if name not in base}
        self.load_state({**fresh_values(factors, seed), **base})

    def start_from(self, batches: Sequence[Batch], objective: Objective) -> None:
        """Let rows of data say where a fresh adapter starts, if `start_rows` asks for some.

        A pure function of the rows and of the values `reset` gave. Called once, of a fresh adapter
        only, while every parameter is whole: on one rank, whose live values and training state the
        others are given.

        Args:
            batches: the rows, on the model's device.
            objective: what the model will be trained for.

        Raises:
            AdapterError: there are too few rows, or too few of their tokens reach a module.
        """

    def learning_rate_scales(self) -> Mapping[str, float]:
        """By which factor a parameter's learning rate differs from the plan's; 1 if not named."""
        return {}

    def penalty(self) -> Tensor | None:
        """What is added to the loss of every step, whatever its split: an fp32 scalar, or None.

        Called inside the wrapped forward pass, once per micro-batch; its share of the step's loss
        is the micro-batch's share of the rows that count.
        """
        return None

    def before_step(self, step: int, gradients: Mapping[str, Tensor]) -> None:
        """Called between the last backward pass and the optimizer step if `wants_gradients`.

        Args:
            step: number of the step, from 0.
            gradients: reduced, whole and unclipped, by canonical name; reading only.
        """

    def after_step(self, step: int) -> None:
        """Called once after every optimizer step; most methods have nothing to do.

        Args:
            step: number of the step, from 0.
        """

    def prepare_steps(self, steps: int, *, tokens: int) -> None:
        """Told before training how many optimizer steps the run has in all, and tokens.

        Both follow from rows and plan, so they are the same on every rank and after a resume.
        """


class LoRAInjector(Component, ABC):
    """Puts low-rank adapters into a base model (Hu et al. 2021, arXiv:2106.09685)."""

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[Capability]:
        """What the adapted model will be able to do with these options."""

    @property
    def caches_prefix(self) -> bool:
        """Whether training shall keep what enters the lowest adapted layer, for later epochs."""
        return False

    @property
    def ranks(self) -> frozenset[int]:
        """Every rank that its options give to a module, where it makes plain factors throughout.

        Plain are pairs of A and B with B·A added and B 0 at the start. Empty for any other.
        """
        return frozenset()

    def variants(self) -> Sequence[LoRAInjector]:
        """This injector in ways that differ in what they can do; unless it has more, itself."""
        return (self,)

    @property
    def virtual_tokens(self) -> int:
        """How many tokens of its own it puts before every row; 0 for none."""
        return 0

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
