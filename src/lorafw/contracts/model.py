"""ModelBuilder: a base model, and all that the other parts need to know of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from lorafw.contracts.component import Component
from lorafw.types import Capability, Task, Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, device, nn


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a run asks of a builder.

    Attributes:
        task: what the model is for.
        device: where its weights go; the meta device, for names and shapes alone, is asked for only
            of builders that say `builds_without_weights`.
        seed: what random weights follow from.
        labels: names of the classes, for classification; empty for those the model's files name.
    """

    task: Task
    device: device
    seed: int = 0
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hidden:
    """What comes out of a model just before its head.

    Attributes:
        rows: [..., width], in the model's dtype, shaped as the batch's labels plus width. For
            classification the scores themselves, [rows, classes]: how a family comes from tokens
            to classes is its own affair.
        auxiliary: what the model adds to its loss (routers), fp32, or None: one scalar, or one
            value per position, of which those with a label count.
    """

    rows: Tensor
    auxiliary: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Outline:
    """A model as far as its files' headers tell; no weight is read.

    Attributes:
        module: the module tree on the meta device: names and shapes.
        lora_targets: as the bundle's would be.
        tasks: what it can be built for.
        segments: whether its attention looks able to take several sequences at once.
        generation: what the family calls this member of it; empty if it has one name only.
    """

    module: nn.Module
    lora_targets: tuple[str, ...]
    tasks: frozenset[Task]
    segments: bool
    generation: str = ""


class ModelBundle(ABC):
    """The base model and what others need to know of it.

    Attributes:
        module: the frozen base model; injectors change it in place.
        tokenizer: the tokenizer the model was trained with.
        task: the task it was built for.
        base: content identity of its files, so that an adapter finds its own base again.
        lora_targets: full names of the linears that LoRA adapts by default.
        capabilities: `Capability.SEGMENTS` if its attention can take several sequences at once.
        labels: names of the classes, for classification.
        head_modules: full names of modules that start fresh, or are the task's own: injectors make
            them trainable, in fp32, beside the adapter.
        token_rows: rows of embeddings, and of untied heads, that start fresh, as those of added
            tokens do: row numbers by the module's full name; treated the same way.
    """

    module: nn.Module
    tokenizer: Tokenizer
    task: Task
    base: str
    lora_targets: tuple[str, ...]
    capabilities: frozenset[Capability]
    labels: tuple[str, ...] = ()
    head_modules: tuple[str, ...] = ()
    token_rows: Mapping[str, tuple[int, ...]] = MappingProxyType({})

    @abstractmethod
    def hidden(self, inputs: Mapping[str, Tensor]) -> Hidden:
        """The model up to its head; `inputs` as in `Batch.inputs`, either layout."""

    @abstractmethod
    def logits(self, rows: Tensor) -> Tensor:
        """The head with every scale, bias and soft cap of the family: [n, width] -> [n, vocab]."""

    @property
    @abstractmethod
    def head_weight(self) -> Tensor | None:
        """The head's weight [vocab, width] if `logits` is one frozen, unbiased linear, else None.

        Read inside the wrapped forward only: under ZeRO-3 the access gathers the weight.
        """

    @property
    def head(self) -> nn.Module | None:
        """The module behind `logits`, if it is one; its hooks are passed by in the loss."""
        return None

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The blocks that `plan.gradient_checkpointing` recomputes, first to last.

        Empty for a model that cannot say; it is then refused gradient checkpointing.
        """
        return ()

    @property
    def pad_id(self) -> int:
        """Token id that fills padded rows; masked, so any id serves."""
        pad = self.tokenizer.pad_token_id
        return pad if pad is not None else self.tokenizer.eos_token_id or 0


class ModelBuilder(Component, ABC):
    """Builds one family of base models from its published files."""

    tasks: ClassVar[frozenset[Task]]

    @property
    def builds_without_weights(self) -> bool:
        """Whether `build` on the meta device reads no weights, and does not try what it builds.

        Such models can be planned for before they are loaded.
        """
        return False

    @classmethod
    def recognises(cls, path: Path) -> bool:  # noqa: ARG003 - a family that can tell, overrides it
        """Whether the files at a path look like this family's; torch-free, and quick."""
        return False

    def outline(self) -> Outline | None:
        """What can be told before the weights are read; None if this family cannot tell.

        Raises:
            ModelError: what `build` would raise for what the files' headers show.
        """
        return None

    @abstractmethod
    def default_encoder(self, task: Task) -> str:
        """Name of the encoder that suits this model when the user names none; torch-free."""

    @abstractmethod
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer.

        Raises:
            ModelError: there is none, or it cannot be read.
        """

    @abstractmethod
    def build(self, request: ModelRequest, tokenizer: Tokenizer) -> ModelBundle:
        """Load the weights, frozen.

        Raises:
            ModelError: a file is missing, cut off, or does not hold this architecture.
        """

    @abstractmethod
    def native_config(self) -> Mapping[str, object]:
        """The family's own config, as written beside exported weights."""

    @property
    def rules_out(self) -> frozenset[Capability]:
        """What no adapter can do on a base built with these options, such as being merged."""
        return frozenset()

    def native_state(self, name: str, tensor: Tensor) -> Mapping[str, Tensor]:
        """One tensor back in the family's published layout; inverts what `build` did to it."""
        return {name: tensor}
