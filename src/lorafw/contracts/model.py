"""ModelBuilder: a base model, and all that the other parts need to know of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lorafw.contracts.component import Component
from lorafw.types import Capability, Task, Tokenizer

if TYPE_CHECKING:
    from torch import Tensor, device, nn


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a run asks of a builder: the task, the device, and the seed of random weights."""

    task: Task
    device: device
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Hidden:
    """What comes out of a model just before its head.

    Attributes:
        rows: [..., width], in the model's dtype, shaped as the batch's labels plus width.
        auxiliary: fp32 scalar the model adds to its loss (routers), or None.
    """

    rows: Tensor
    auxiliary: Tensor | None = None


class ModelBundle(ABC):
    """The base model and what others need to know of it.

    Attributes:
        module: the frozen base model; injectors change it in place.
        tokenizer: the tokenizer the model was trained with.
        task: the task it was built for.
        base: content identity of its files, so that an adapter finds its own base again.
        lora_targets: full names of the linears that LoRA adapts by default.
        capabilities: `Capability.SEGMENTS` if its attention can take several sequences at once.
    """

    module: nn.Module
    tokenizer: Tokenizer
    task: Task
    base: str
    lora_targets: tuple[str, ...]
    capabilities: frozenset[Capability]

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
    def pad_id(self) -> int:
        """Token id that fills padded rows; masked, so any id serves."""
        pad = self.tokenizer.pad_token_id
        return pad if pad is not None else self.tokenizer.eos_token_id or 0


class ModelBuilder(Component, ABC):
    """Builds one family of base models from its published files."""

    tasks: ClassVar[frozenset[Task]]

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

    def native_state(self, name: str, tensor: Tensor) -> Mapping[str, Tensor]:
        """One tensor back in the family's published layout; inverts what `build` did to it."""
        return {name: tensor}
