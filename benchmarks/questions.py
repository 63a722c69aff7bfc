"""Any number of rows like those of GSM8K, from a few real ones or from none."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

_NUMBER = re.compile(r"\d+")
_WORDS = re.findall(
    r"\w+",
    "Natalia Weng bought sold clips apples pages dollars each friend week much more than half "
    "of the and she he then how many left after giving every day for school altogether if there "
    "were are in a box",
)

Pair = tuple[str, str]
"""Question and answer."""


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a .jsonl file with `question` and `answer`."""
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [(row["question"], row["answer"]) for row in rows]


def drawn_pairs(count: int, seed: int = 0) -> list[Pair]:
    """Made-up pairs about as long as GSM8K's: 235 and 290 characters on average."""
    chance = random.Random(seed)
    return [(_text(chance, 42), _text(chance, 52)) for _ in range(count)]


def _text(chance: random.Random, words: int) -> str:
    length = max(8, round(chance.gauss(words, words / 3)))
    return " ".join(
        str(chance.randrange(500)) if chance.random() < 0.12 else chance.choice(_WORDS)
        for _ in range(length)
    )


def varied(pairs: Sequence[Pair], count: int, seed: int = 0) -> Iterator[Pair]:
    """So many pairs: the given ones over and over, their numbers drawn anew."""
    chance = random.Random(seed)

    def drawn(number: re.Match[str]) -> str:
        return "".join(chance.choice("0123456789") for _ in number[0])

    for question, answer in islice(cycle(pairs), count):
        yield _NUMBER.sub(drawn, question), _NUMBER.sub(drawn, answer)
