"""The plain values that cross borders between parts: examples, encoded rows, batches, adapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

IGNORE_INDEX = -100
"""Label of a position that is not trained (the value PyTorch and transformers use)."""
ADDED_TOKENS = "lorafw_added_tokens"
"""Key of a tokenizer's configuration that lists the tokens a user added to it."""


class Split(StrEnum):
    """Which part of a data set is asked for."""

    TRAIN = "train"
    EVAL = "eval"


class Task(StrEnum):
    """What a model is asked to do with a row."""

    CAUSAL_LM = "causal-lm"
    CLASSIFICATION = "classification"


class Layout(StrEnum):
    """How several rows share one batch."""

    SEGMENTS = "segments"
    PADDED = "padded"


class Capability(StrEnum):
    """What a part can do, declared so that combinations are checked before anything heavy."""

    SEGMENTS = "segments"
    """Takes several sequences laid end to end, with their boundaries."""
    MERGEABLE = "mergeable"
    """Its update can be folded into the base weights."""
    CHOSEN_PROMPTS = "chosen-prompts"
    """Puts virtual tokens before rows, of which some can be chosen."""
    DISABLE = "disable"
    """Can be switched off to give the base model's output."""
    IDENTITY_START = "identity-start"
    """A fresh adapter leaves the base model's output unchanged."""
    SHARDABLE = "shardable"
    """Works while parameters are partitioned over ranks (ZeRO-3, FSDP2)."""
    SPLIT_DEPENDENT = "split-dependent"
    """Its randomness depends on how a global batch is split into micro-batches and ranks."""
    WHOLE_PARAMETERS = "whole-parameters"
    """Every rank holds every parameter whole while training."""
    WHOLE_GRADIENTS = "whole-gradients"
    """Reduced gradients can be read, whole and by name, between the last backward and the step."""
    SETTABLE_GRADIENTS = "settable-gradients"
    """Whole gradients can be put in the place of the reduced ones before the step."""
    WHOLE_OPTIMIZER = "whole-optimizer"
    """The optimizer of every rank sees every parameter and every gradient whole."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the assistant calls.

    Attributes:
        name: the function's.
        arguments: JSON text of an object.
        id: what the tool's answer refers to; empty where nothing does.
    """

    name: str
    arguments: str = "{}"
    id: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: who speaks, as the chat template calls it.
        content: what is said; may be empty where tools are called.
        train: overrides the encoder's choice of what is trained.
        tool_calls: the functions that the assistant calls with it, behind what is said.
        name: of the tool whose answer this is; empty where it is not told.
        tool_call_id: id of the call that this answers; empty where it is not told.
    """

    role: str
    content: str
    train: bool | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    name: str = ""
    tool_call_id: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether it neither says nor calls anything."""
        return not (self.content or self.tool_calls)


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a data set, before any tokenizer saw it. Third parties subclass it."""


@dataclass(frozen=True, slots=True)
class PromptExample(Example):
    """A prompt and the response to be learned.

    Attributes:
        prompt: the question or instruction.
        response: what is learned; empty where there is nothing to learn.
        input: what the instruction is about, where a data set keeps it apart (Alpaca, Dolly).
    """

    prompt: str
    response: str
    input: str = ""

    @property
    def whole_prompt(self) -> str:
        """The prompt and, behind a blank line, its input where there is one."""
        return f"{self.prompt}\n\n{self.input}" if self.input else self.prompt


@dataclass(frozen=True, slots=True)
class ChoiceExample(PromptExample):
    """A question and the answers to choose from; the response is the right one's text.

    Attributes:
        choices: the answers, the right one among them; equal ones are one and the same.
    """

    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatExample(Example):
    """A conversation; the assistant's turns are learned unless a message says otherwise.

    Attributes:
        messages: the turns, in order.
        tools: JSON text of a list of functions the assistant may call (JSON Schema), or nothing.
    """

    messages: tuple[Message, ...]
    tools: str = ""


@dataclass(frozen=True, slots=True)
class TextExample(Example):
    """Plain text, all of it learned."""

    text: str


@dataclass(frozen=True, slots=True)
class LabeledExample(Example):
    """A text, or a pair of texts, and the class it belongs to.

    Attributes:
        text: the text, or the first of two.
        text_pair: the second text, or None.
        label: index of the class in the data set's `labels`.
    """

    text: str
    text_pair: str | None
    label: int


@dataclass(frozen=True, slots=True)
class PreferenceExample(Example):
    """A conversation and two ways to go on, one preferred to the other."""

    messages: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One row as token ids.

    Attributes:
        input_ids: token ids, in order.
        labels: one per token: the token itself where it is trained, `IGNORE_INDEX` elsewhere.
            The shift by one happens when rows are collated into a batch. For classification
            one number: the class.
        cut: how many tokens truncation removed.
    """

    input_ids: Sequence[int]
    labels: Sequence[int]
    cut: int = 0

    @property
    def targets(self) -> int:
        """How many predictions are trained: the class, or else tokens but the first of the row."""
        predicted = len(self.labels) - self.labels.count(IGNORE_INDEX)
        if len(self.labels) != len(self.input_ids):
            return predicted
        return predicted - sum(label != IGNORE_INDEX for label in self.labels[:1])


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows laid out for one forward pass.

    Attributes:
        inputs: for `Layout.SEGMENTS`, `input_ids` and `position_ids` of shape [tokens] (int64)
            and `cu_seqlens` of shape [rows + 1] (int32); for `Layout.PADDED`, `input_ids` and
            `attention_mask` of shape [rows, length] (int64).
        labels: the token each position predicts (already shifted), `IGNORE_INDEX` where nothing
            is trained; shape of `input_ids`, int64. For classification the class of each row,
            shape [rows].
    """

    inputs: Mapping[str, Tensor]
    labels: Tensor

    def to(self, device: Any) -> Batch:
        """The same batch on another device."""
        inputs = {name: tensor.to(device) for name, tensor in self.inputs.items()}
        return Batch(inputs, self.labels.to(device))

    def without_targets(self) -> Batch:
        """The same inputs with nothing to train: loss and gradients are exactly zero."""
        import torch

        return Batch(self.inputs, torch.full_like(self.labels, IGNORE_INDEX))


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """What an adapter is, apart from its numbers.

    Attributes:
        rank: r of the LoRA paper (arXiv:2106.09685), for every module not in `rank_pattern`.
        alpha: the update is scaled by alpha / r, for every module not in `alpha_pattern`.
        targets: full names of the adapted modules in the base model.
        dropout: probability applied to the input of A while training.
        use_rslora: scale by alpha / sqrt(r) (arXiv:2312.03732) instead.
        rank_pattern: ranks of single modules, by full name.
        alpha_pattern: alphas of single modules, by full name.
        trained: full names of modules of the base that are trained whole, such as a classifier's
            head.
        use_dora: the length of each output's weight row is learned apart (arXiv:2402.09353).
        embeddings: those of `targets` that are embeddings; their factors go by PEFT's other names.
        token_rows: rows of embeddings, and of untied heads, that are trained: row numbers by the
            module's full name.
        method: what PEFT calls the method; of any other than LORA the fields above say only which
            modules it concerns.
        options: of another method, what PEFT's config says of it (JSON values).
        parameters: those of `targets` that are no modules but parameters holding all experts of a
            layer, [experts, out, in] or [experts, in, out]; each expert has an update of its own.
        biases: full names of modules whose bias is trained.
    """

    rank: int
    alpha: float
    targets: tuple[str, ...]
    dropout: float = 0.0
    use_rslora: bool = False
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    trained: tuple[str, ...] = ()
    use_dora: bool = False
    embeddings: tuple[str, ...] = ()
    token_rows: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    method: str = "LORA"
    options: Mapping[str, Any] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()
    biases: tuple[str, ...] = ()

    def rank_of(self, module: str) -> int:
        """The rank of one module."""
        return self.rank_pattern.get(module, self.rank)

    def scaling_of(self, module: str) -> float:
        """The factor on B·A for one module."""
        rank = self.rank_of(module)
        alpha = self.alpha_pattern.get(module, self.alpha)
        return float(alpha / rank**0.5 if self.use_rslora else alpha / rank)

    @property
    def virtual_tokens(self) -> int:
        """How many tokens of its own it puts before every row; 0 for none."""
        return int(self.options.get("num_virtual_tokens") or 0)

    def pair_of(self, module: str) -> tuple[str, str]:
        """The canonical names of one module's A and B."""
        if module in self.embeddings:
            return f"{module}.lora_embedding_A", f"{module}.lora_embedding_B"
        return canonical_pair(module)

    def names_of(self, module: str) -> tuple[str, ...]:
        """The canonical names of one module's tensors: A, B, and for DoRA the magnitude."""
        magnitude = (f"{module}.lora_magnitude_vector",) if self.use_dora else ()
        return (*self.pair_of(module), *magnitude)


@dataclass(frozen=True, slots=True)
class AdapterState:
    """An adapter apart from any model: its spec and its fp32 tensors under canonical names.

    A canonical name is the base module's name and, behind it, `.lora_A.weight` ([r, in]),
    `.lora_B.weight` ([out, r]) or `.lora_magnitude_vector` ([out]); of an embedding
    `.lora_embedding_A` ([r, vocabulary]) and `.lora_embedding_B` ([width, r]); of a parameter that
    holds experts the names a module has, A [experts * r, in] expert by expert, and B
    [out, r * experts], where the experts' first columns come first; of trained rows
    `.token_adapter.trainable_tokens_delta` ([rows, width]: the rows themselves). Tensors of a
    module that is trained whole, and trained biases, have the base's own names, those of other
    methods PEFT's.
    """

    spec: AdapterSpec
    tensors: Mapping[str, Tensor]


class Tokenizer(Protocol):
    """The part of a transformers tokenizer that lorafw relies on."""

    eos_token_id: int | None
    bos_token_id: int | None
    pad_token_id: int | None
    chat_template: str | None
    model_max_length: int

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Token ids of a text."""

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Text of token ids."""

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any:
        """A conversation rendered by the tokenizer's template."""

    def save_pretrained(self, save_directory: Any) -> Any:
        """Write the tokenizer's files into a folder."""

    def __hash__(self) -> int:
        """A tokenizer is a key of caches, by identity."""


def canonical_pair(module: str) -> tuple[str, str]:
    """The canonical names of A and B of one adapted module."""
    return f"{module}.lora_A.weight", f"{module}.lora_B.weight"


def token_rows_name(module: str) -> str:
    """The canonical name of an embedding's, or a head's, trained rows."""
    return f"{module}.token_adapter.trainable_tokens_delta"


def adapted_modules(tensors: Mapping[str, Any]) -> Iterator[str]:
    """The modules that canonical tensor names speak of, each once, in order."""
    suffix = ".lora_A.weight"
    return (name.removesuffix(suffix) for name in tensors if name.endswith(suffix))
