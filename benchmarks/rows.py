"""Synthetic rows whose token ids are known beforehand, whoever tokenises their text."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

IGNORE_INDEX = -100
VOCABULARY = 49152
EOS_ID, PAD_ID, UNKNOWN_ID = 0, 1, 2
SPECIAL = ("</s>", "<pad>", "<unk>")

ROWS_PER_STEP = 8
SHORTEST, MEDIAN, MEAN, LONGEST = 24, 135, 200, 1024
_SIGMA = math.sqrt(2 * math.log(MEAN / MEDIAN))  # of a log-normal with this median and mean


@dataclass(frozen=True, slots=True)
class Row:
    """Token ids of a prompt, which is not trained, and of a response, which ends with EOS."""

    prompt: tuple[int, ...]
    response: tuple[int, ...]

    @property
    def ids(self) -> list[int]:
        """All token ids, in order."""
        return [*self.prompt, *self.response]

    @property
    def labels(self) -> list[int]:
        """The token itself in the response, `IGNORE_INDEX` in the prompt; not shifted."""
        return [IGNORE_INDEX] * len(self.prompt) + list(self.response)

    @property
    def texts(self) -> tuple[str, str]:
        """Prompt and response as words; EOS is left to whoever tokenises them."""
        return _text(self.prompt), _text(self.response[:-1])


def word(token_id: int) -> str:
    """The word that the tokenizer of `benchmarks.model` maps to one id."""
    return SPECIAL[token_id] if token_id < len(SPECIAL) else f"w{token_id}"


def _text(ids: Sequence[int]) -> str:
    return " ".join(word(token_id) for token_id in ids)


def draw_rows(count: int, seed: int = 0, vocabulary: int = VOCABULARY) -> list[Row]:
    """Rows of log-normal length, the first 40 % of each a prompt, words as frequent as 1 / rank."""
    generator = random.Random(seed)
    return [_draw_row(generator, vocabulary) for _ in range(count)]


def _draw_row(generator: random.Random, vocabulary: int) -> Row:
    drawn = generator.lognormvariate(math.log(MEDIAN), _SIGMA)
    length = min(max(round(drawn), SHORTEST), LONGEST)
    words = [_draw_word(generator, vocabulary) for _ in range(length - 1)]
    prompt = length * 2 // 5
    return Row(tuple(words[:prompt]), (*words[prompt:], EOS_ID))


def _draw_word(generator: random.Random, vocabulary: int) -> int:
    words = vocabulary - len(SPECIAL)
    return len(SPECIAL) + min(int(words ** generator.random()), words) - 1


def grouped(rows: Sequence[Row], *, after: int = 1) -> list[Row]:
    """The same rows for trainers that pad: like lengths together, longest first.

    The rows of the first steps, `after` of them, stay where they are, so that every contestant
    begins with the same steps; the others are the same set of rows, cut into other steps.
    """
    first, others = rows[: after * ROWS_PER_STEP], rows[after * ROWS_PER_STEP :]
    return [*first, *sorted(others, key=lambda row: -len(row.ids))]


def digest(rows: Iterable[tuple[Sequence[int], Sequence[int]]]) -> str:
    """SHA-256, in hex, over the ids and labels of rows in their order."""
    state = hashlib.sha256()
    for values in (values for row in rows for values in row):
        state.update(len(values).to_bytes(4, "little"))
        state.update(np.asarray(values, dtype="<i4").tobytes())
    return state.hexdigest()


def write_texts(rows: Sequence[Row], path: Path, *, order: Sequence[int] | None = None) -> None:
    """Write rows as JSON Lines of `prompt` and `response`.

    Args:
        rows: rows in the order they shall be trained in.
        path: the file.
        order: line numbers, from 0, in the order a trainer visits them; None for as they stand.
    """
    places = range(len(rows)) if order is None else order
    lines = [""] * len(rows)
    for place, row in zip(places, rows, strict=True):
        prompt, response = row.texts
        lines[place] = json.dumps({"prompt": prompt, "response": response})
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
