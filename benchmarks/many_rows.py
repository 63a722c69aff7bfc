"""Files of a great many short rows, and of rows that are all equally long."""

from __future__ import annotations

import json
from itertools import cycle, islice
from pathlib import Path

from benchmarks.rows import EOS_ID, SPECIAL, Row, write_texts

DIFFERENT = 1000
"""Rows that are made; where more are wanted, they come again."""
SHORT = (24, 40)
"""Tokens of a short row, from and to."""


def write_many(path: Path, count: int, vocabulary: int) -> None:
    """So many short rows, as JSON Lines of `prompt` and `response`."""
    shortest, longest = SHORT
    rows = [
        row_of(shortest + number % (longest - shortest + 1), number, vocabulary)
        for number in range(min(count, DIFFERENT))
    ]
    texts = [dict(zip(("prompt", "response"), row.texts, strict=True)) for row in rows]
    lines = [json.dumps(text) + "\n" for text in texts]
    with path.open("w", encoding="utf-8") as file:
        file.writelines(islice(cycle(lines), count))


def write_of_length(path: Path, count: int, length: int, vocabulary: int) -> None:
    """So many rows of one length."""
    write_texts([row_of(length, number, vocabulary) for number in range(count)], path)


def row_of(length: int, number: int, vocabulary: int) -> Row:
    """A row of so many tokens, its words a walk through the vocabulary, 40 % of it a prompt."""
    words = vocabulary - len(SPECIAL)
    ids = [len(SPECIAL) + (7919 * number + 31 * at) % words for at in range(length - 1)]
    prompt = length * 2 // 5
    return Row(tuple(ids[:prompt]), (*ids[prompt:], EOS_ID))
