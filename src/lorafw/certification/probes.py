"""What models are asked to be compared: prompts as training rendered them, and rows of ids."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from lorafw.inference.generation.room import context_length
from lorafw.inference.prompts import encode_prompt, uncut
from lorafw.types import ChatExample, LabeledExample, PromptExample, Task, TextExample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.model import ModelBundle
    from lorafw.types import Tokenizer

TEXTS = ("The old man and the sea: what is this about?", "Two and two make")
"""Prompts that mean the same to every model; their answers do not matter."""
_ODD = "İt's  12345\n\tnaïve ÇA 你好 🙂 <s> don't"
"""What tokenizers differ in: case, accents, digits, runs of spaces, other scripts, marks in a text.

It is read and not asked: no row of it goes through the model."""
_DRAWN, _LONGEST = 2, 32
_ABOUT_TEXT = (ChatExample, PromptExample, TextExample)


class Probes(BaseModel):
    """What a model is asked; a function of its vocabulary, tokenizer and encoder alone.

    Attributes:
        texts: prompts; none where the encoder reads rows of another kind.
        rendered: the ids of each text, whole.
        rows: what the model is given: the first texts, rendered, and rows drawn at random, each no
            longer than its context and than a few dozen ids, so that their logits fit into memory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    texts: tuple[str, ...]
    rendered: tuple[tuple[int, ...], ...]
    rows: tuple[tuple[int, ...], ...]


def probes_for(bundle: ModelBundle, encoder: Encoder) -> Probes:
    """The probes of a model, as it is trained."""
    texts = (*TEXTS, _ODD) if _reads_text(encoder) else ()
    rendered = tuple(rendered_ids(encoder, bundle.tokenizer, text) for text in texts)
    longest = min(_LONGEST, _context(bundle))
    cut = tuple(ids[:longest] for ids in rendered[: len(TEXTS)] if ids)
    return Probes(texts=texts, rendered=rendered, rows=(*cut, *_drawn(bundle, longest)))


def rendered_ids(encoder: Encoder, tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    """The ids a model is given of a prompt or, to put it into a class, of a text."""
    if encoder.task is Task.CLASSIFICATION:
        return tuple(encoder.prompt(LabeledExample(text, None, 0), tokenizer).input_ids)
    return tuple(encode_prompt(uncut(encoder), tokenizer, text).input_ids)


def _reads_text(encoder: Encoder) -> bool:
    known = LabeledExample if encoder.task is Task.CLASSIFICATION else _ABOUT_TEXT
    return any(issubclass(kind, known) for kind in encoder.accepts)


def _context(bundle: ModelBundle) -> int:
    limited = hasattr(bundle.module, "config")
    positions = context_length(bundle) if limited else _LONGEST
    return min(positions, bundle.tokenizer.model_max_length)


def _drawn(bundle: ModelBundle, length: int) -> Sequence[tuple[int, ...]]:
    """Rows of ordinary words; special ones, such as padding, mean something to a model."""
    words: Any = bundle.tokenizer
    special = set(getattr(words, "all_special_ids", ()))
    rows = _embedded(bundle.module)
    ids = [number for number in sorted(set(words.get_vocab().values()) - special) if number < rows]
    chance = random.Random(len(ids))
    return [tuple(chance.choices(ids, k=length)) for _ in range(_DRAWN)]


def _embedded(module: Any) -> int:
    """How many ids have an embedding."""
    return int(getattr(module.get_input_embeddings(), "num_embeddings", 2**31))
