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


@dataclass(frozen=True, slots=True)
class LayerForm:
    """A decoder layer of the Llama form, by the names of its parts within the layer.

    With RMSNorms `n1` and `n2`, rotary positions on queries and keys, and causal attention:
    `h = x + out(attention(q(n1 x), k(n1 x), v(n1 x)))`,
    `y = h + down(silu(gate(n2 h)) * up(n2 h))`.
    The layer is called with its rows alone and the rest by keyword, boundaries of segments under
    transformers' names for them.

    Attributes:
        norms: `n1` and `n2`.
        qkv: the projections of queries, keys and values; each, like all linears, with or without a
            bias.
        out: back from the heads.
        head_norms: RMSNorms over each head of queries and of keys, before positions; or none.
        gate_up: gate and up, as two linears or as one with the gates first.
        down: back to the layer's width.
        head_dim: channels of a head.
        scale: factor of the scores.
        eps: what all norms add to the mean square.
        window: how many tokens a token sees, itself among them; None for all.
        interleaved: whether positions turn pairs of neighbours, `(0, 1), (2, 3)`, and not pairs
            that lie half of the turned channels apart; how many are turned the tables tell.
        tables, mask, cache: under which keywords a layer gets its cosines and sines, twice for the
            two channels of a pair; a boolean mask `[rows, 1, tokens, tokens]`; past keys and
            values.
    """

    norms: tuple[str, str]
    qkv: tuple[str, ...]
    out: str
    head_norms: tuple[str, ...]
    gate_up: tuple[str, ...]
    down: str
    head_dim: int
    scale: float
    eps: float
    window: int | None = None
    interleaved: bool = False
    tables: str = "position_embeddings"
    mask: str = "attention_mask"
    cache: str = "past_key_values"


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
        """The blocks that `plan.activations: checkpoint` recomputes, first to last.

        Empty for a model that cannot say; it is then refused that policy.
        """
        return ()

    @property
    def mlps(self) -> Sequence[nn.Module]:
        """The feed-forward modules that `plan.activations: recompute-mlp` recomputes, in `layers`.

        Empty for a model that cannot say; it is then refused that policy.
        """
        return ()

    def layer_form(self, layer: nn.Module) -> LayerForm | str:  # noqa: ARG002 - a family overrides
        """The form of one of `layers`, or why none is known; its linears may be adapted already."""
        return "its builder describes no form"

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
