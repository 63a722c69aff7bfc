"""A split's examples encoded, portion by portion, by as many processes as that pays for."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from lorafw.data.encoded import workers
from lorafw.data.encoded.packed import Block
from lorafw.data.encoded.portion import SIZE, Portion, PortionMaker
from lorafw.data.encoded.report import Report
from lorafw.types import Encoded, Example

OFTEN = 1.0
"""Seconds between two words on progress."""
WORTH = 4.0
"""Seconds of work left that pay for starting processes; each takes about one to start."""


class Progress(Protocol):
    """Hears how many of all examples are encoded."""

    def __call__(self, done: int, total: int) -> None:
        """Some more are done."""


def unheard(done: int, total: int) -> None:
    """A `Progress` for those who do not listen."""


@dataclass(frozen=True, slots=True)
class Account:
    """What became of a split, and the fingerprint of its rows."""

    report: Report
    fingerprint: str


def encode_all(
    examples: Sequence[Example],
    maker: PortionMaker,
    keep: Callable[[Any], None],
    progress: Progress = unheard,
) -> Account:
    """Encode examples, in their order.

    Args:
        examples: all of a split.
        maker: encodes some of them.
        keep: given the record batches, one by one.
        progress: told once in `OFTEN` seconds.

    Raises:
        DataError: there is nothing to train on in the training split.
        LorafwError: an example cannot be rendered; the message counts which.
    """
    report = Report(maker.split, maker.encoder.max_length)
    digest, spoke = hashlib.sha256(), time.monotonic()
    for portion in _portions(examples, maker):
        keep(portion.batch)
        report += portion.report
        _add(digest, Block(portion.batch))
        if time.monotonic() - spoke > OFTEN:
            spoke = time.monotonic()
            progress(report.rows + report.dropped, len(examples))
    report.require_rows()
    return Account(report, digest.hexdigest())


def fingerprint(rows: Iterable[Encoded]) -> str:
    """SHA-256, in hex, over ids and labels of rows in their order."""
    digest = hashlib.sha256()
    for row in rows:
        _add_row(digest, row.input_ids, row.labels)
    return digest.hexdigest()


def _add(digest: Any, block: Block) -> None:
    """What `fingerprint` adds for these rows."""
    ids, labels = block.ids, block.labels()
    for index in range(len(block)):
        _add_row(digest, ids[index], labels[index])


def _add_row(digest: Any, ids: ArrayLike, labels: ArrayLike) -> None:
    row = np.asarray(ids, dtype="<i4")
    digest.update(len(row).to_bytes(4, "little"))
    digest.update(row)
    digest.update(np.asarray(labels, dtype="<i4"))


def _portions(examples: Sequence[Example], maker: PortionMaker) -> Iterator[Portion]:
    """Begin here; go on with others when what is left would take long."""
    began = time.perf_counter()
    starts = range(0, len(examples), SIZE)
    for done, start in enumerate(starts):
        if done > 1 and _left(began, done - 1, len(starts) - done) > WORTH:
            yield from workers.portions(examples, maker, starts[done:])
            return
        yield maker.portion(examples[start : start + SIZE], start + 1)
        if not done:
            began = time.perf_counter()  # the first one loads and warms up


def _left(began: float, done: int, left: int) -> float:
    return (time.perf_counter() - began) / done * left
