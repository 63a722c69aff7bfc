"""What can be told of a model before its weights are read."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """Linears of one name and size that LoRA adapts by default.

    Attributes:
        name: the last part of their names, such as `q_proj`.
        count: how many there are.
        inputs, outputs: features that go in and come out.
    """

    name: str
    count: int
    inputs: int
    outputs: int

    def trainable(self, rank: int) -> int:
        """Parameters of A [rank, in] and B [out, rank] of all of them."""
        return self.count * rank * (self.inputs + self.outputs)


@dataclass(frozen=True, slots=True)
class Weights:
    """What is stored: files, bytes, and how many numbers of which dtype, as far as headers tell."""

    files: int
    bytes: int
    numbers: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A tokenizer.

    Attributes:
        kind: its class, and the algorithm where the class does not tell.
        size: how many ids it has.
        special_tokens: by role, such as `eos_token`.
        chat_template: whether it knows how a conversation is written.
    """

    kind: str
    size: int
    special_tokens: dict[str, str]
    chat_template: bool


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token of `model.add_tokens`.

    Attributes:
        text: as it is written.
        id: the row that it gets.
        special: whether answers are shown without it.
        new_row: whether the model has no such row yet.
    """

    text: str
    id: int
    special: bool
    new_row: bool


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A model, as `lorafw models inspect` tells of it; None is what could not be told.

    Attributes:
        path: what was inspected.
        model: the model component that builds it.
        family: its model type.
        generation: what the family calls it.
        architecture: the class that its config names.
        sizes: such as layers and hidden_size, from its config.
        parameters: numbers in the model, a tied weight counted once.
        encoder: the encoder that would be chosen.
        trainable: parameters of an adapter by its rank.
        segments: whether rows would be laid end to end rather than padded.
        refused: why lorafw would refuse to build it, each reason a sentence; empty if it would not.
        added: what `add_tokens` would do.
        experts: parameters that hold all experts of a layer, which LoRA adapts if they are named.
    """

    path: str
    model: str
    family: str
    generation: str
    architecture: str | None
    sizes: dict[str, int]
    weights: Weights | None
    parameters: int | None
    tokenizer: Vocabulary | None
    encoder: str | None
    tasks: tuple[str, ...]
    targets: tuple[TargetGroup, ...]
    trainable: dict[int, int]
    segments: bool | None
    refused: tuple[str, ...]
    added: tuple[AddedToken, ...] = ()
    experts: tuple[str, ...] = ()
