"""Rows as long as those of GSM8K, their ids known beforehand: a hash of each word."""

from __future__ import annotations

import random
import re
import zlib
from itertools import cycle, islice
from pathlib import Path

from benchmarks.questions import read_pairs
from benchmarks.rows import EOS_ID, LONGEST, SPECIAL, VOCABULARY, Row

_PIECES = re.compile(r"\d{1,3}|[^\W\d]+|[^\w\s]")
"""About what a tokenizer of a large vocabulary makes of English and of sums."""


def gsm8k_rows(path: Path, count: int, seed: int = 0, vocabulary: int = VOCABULARY) -> list[Row]:
    """Questions, which are not trained, and answers, which are; drawn without repetition.

    Args:
        path: rows with `question` and `answer`; taken anew where they are fewer than `count`.
        count: rows wanted.
        seed: of their choice and order.
        vocabulary: ids are below this.
    """
    pairs = read_pairs(path)
    random.Random(seed).shuffle(pairs)
    return [
        Row(_ids(question, vocabulary), (*_ids(answer, vocabulary), EOS_ID))
        for question, answer in islice(cycle(pairs), count)
    ]


def _ids(text: str, vocabulary: int) -> tuple[int, ...]:
    """Equal words get equal ids, now and in any other process; at most half of `LONGEST`."""
    words = vocabulary - len(SPECIAL)
    pieces = _PIECES.findall(text)[: LONGEST // 2 - 1]
    return tuple(len(SPECIAL) + zlib.crc32(piece.encode()) % words for piece in pieces)
