"""The names of tensors in PEFT's files, and what each name says its tensor is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PREFIX = "base_model.model."
"""In front of the base's names where the adapter lies in the base's modules."""
PROMPT_PREFIX = "base_model."
"""In front of the base's names where the adapter is a learned prompt."""

_FACTORS = (
    ".lora_A.weight",
    ".lora_B.weight",
    ".lora_embedding_A",
    ".lora_embedding_B",
    ".lora_magnitude_vector",
)
_ROWS = ".token_adapter.trainable_tokens_delta"
COPY = ".base_layer.weight"
"""How names end of the base's own weights, which PEFT saves beside adapted embeddings and heads."""
_VOCABULARY = ("embed_tokens", "lm_head", "wte", "embed_in", "embed_out", "word_embeddings")
"""Modules that PEFT saves whole, unasked, once the vocabulary was resized."""


class Part(Enum):
    """What a tensor of a LoRA file is to its module."""

    FACTOR = "factor"
    ROWS = "rows"
    WHOLE = "whole"
    COPY = "copy"
    """The base's own weight: PEFT saves that of an adapted embedding beside the factors."""


@dataclass(slots=True)
class Contents:
    """What a LoRA file holds.

    Attributes:
        modules: the module of each canonical name, by what its tensor is.
        unknown: names in the file that mean nothing to LoRA.
    """

    modules: dict[Part, dict[str, str]] = field(default_factory=lambda: {part: {} for part in Part})
    unknown: list[str] = field(default_factory=list)

    def names(self, *parts: Part) -> list[str]:
        """The canonical names of tensors that are one of these, sorted, numbers by value."""
        return [name for part in parts for name in self.modules[part]]

    def of(self, part: Part) -> tuple[str, ...]:
        """The modules that have such a part, each once, sorted, numbers by value."""
        return tuple(dict.fromkeys(self.modules[part].values()))


def contents_of(names: Iterable[str], saved: Sequence[str]) -> Contents:
    """Sort the names in a LoRA file.

    Args:
        names: as they are in the file.
        saved: what `modules_to_save` lists: names, or ends of names.
    """
    found = Contents()
    for name in sorted(names, key=natural_order):
        canonical = name.removeprefix(PREFIX)
        part, module = _part_of(canonical, saved)
        if part is None or canonical == name:
            found.unknown.append(name)
        else:
            found.modules[part][canonical] = module
    return found


def _part_of(name: str, saved: Sequence[str]) -> tuple[Part | None, str]:
    for suffix in _FACTORS:
        if name.endswith(suffix):
            return Part.FACTOR, name.removesuffix(suffix)
    if name.endswith(_ROWS):
        return Part.ROWS, name.removesuffix(_ROWS)
    if module := saved_module(name, saved):
        return Part.WHOLE, module
    if name.endswith(COPY):
        return Part.COPY, name.removesuffix(COPY)
    module, _, attribute = name.rpartition(".")
    whole = attribute == "weight" and module.rpartition(".")[2] in _VOCABULARY
    return (Part.WHOLE, module) if whole else (None, "")


def saved_module(name: str, saved: Sequence[str]) -> str:
    """The outermost module of a tensor whose name ends as an entry of `modules_to_save` does."""
    return next((m for m in owners(name) if m.endswith(tuple(saved))), "")


def natural_order(name: str) -> list[tuple[bool, int, str]]:
    """Sorts `layers.10` after `layers.2`."""
    parts = re.split(r"(\d+)", name)
    return [(p.isdecimal(), int(p), "") if p.isdecimal() else (False, 0, p) for p in parts]


def owners(name: str) -> list[str]:
    """The modules that a tensor may belong to, the outermost first.

    >>> owners("model.norm.weight")
    ['model', 'model.norm']
    """
    parts = name.split(".")[:-1]
    return [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def stored_name(name: str, prefix: str = PREFIX) -> str:
    """The name in the file of a tensor of any method.

    What a learned prompt is made of has one plain word for a name, and what a method shares among
    its modules has PEFT's shorter prefix already.

    >>> stored_name("lm_head.weight"), stored_name("prompt_embeddings")
    ('base_model.model.lm_head.weight', 'prompt_embeddings')
    """
    return name if "." not in name or name.startswith(PROMPT_PREFIX) else prefix + name
