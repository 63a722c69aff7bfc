"""The rows of a run: of its dataset, or of one task after another, each encoded its own way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import add

from lorafw.assembly.compose import DataParts
from lorafw.contracts.dataset import DatasetAdapter
from lorafw.contracts.encoder import Encoder
from lorafw.data.cache.key import Recipe
from lorafw.data.cache.rows import RowCache
from lorafw.data.encoded.joined import JoinedRows
from lorafw.data.encoded.prepare import Prepared
from lorafw.data.rendering.context import within_context
from lorafw.errors import LorafwError
from lorafw.types import Split, Tokenizer


@dataclass(frozen=True, slots=True)
class Source:
    """What some rows of a run are made from.

    Attributes:
        dataset: where they are.
        encoder: what encodes them; no row is longer than the model's context.
        epochs: passes over them.
        task: the name of the task they belong to; empty if the run has no tasks.
        key: the task's place in the config.
    """

    dataset: DatasetAdapter
    encoder: Encoder
    epochs: int
    task: str = ""
    key: str = ""

    def named(self, sentence: str) -> str:
        """A sentence on these rows, that says which they are."""
        return f"Task '{self.task}': {sentence}" if self.task else sentence

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Let an error that speaks of the run's dataset speak of the task."""
        try:
            yield
        except LorafwError as error:
            if self.task and error.where.partition(".")[0] in ("", "dataset"):
                error.where = f"{self.key} ('{self.task}')"
            raise


def sources_of(parts: DataParts, tokenizer: Tokenizer, epochs: int) -> tuple[Source, ...]:
    """The sources of a run's rows, in the order in which they are trained.

    Args:
        parts: of the run.
        tokenizer: of its model.
        epochs: of a run without tasks.
    """
    if not parts.tasks:
        return (Source(parts.dataset, within_context(parts.encoder, tokenizer), epochs),)
    return tuple(
        Source(
            task.dataset,
            within_context(task.encoder, tokenizer),
            task.epochs,
            task.name,
            task.key,
        )
        for task in parts.tasks
    )


def prepare_each(
    sources: Sequence[Source],
    tokenizer: Tokenizer,
    split: Split,
    cache: RowCache,
    say: Callable[[str], None],
) -> list[Prepared]:
    """A split's rows of every source.

    Args:
        sources: from `sources_of`.
        tokenizer: of the model.
        split: which rows.
        cache: keeps them, or finds them.
        say: told what the user should know of each source's rows.

    Raises:
        DataError: a row cannot be read, or a source has none to train on.
        LorafwError: an encoder cannot render a row; the message counts which.
    """
    found = []
    for source in sources:
        with source.blamed():
            found.append(cache.prepare(Recipe(source.dataset, source.encoder, tokenizer, split)))
        for notice in found[-1].notices():
            say(source.named(notice))
    return found


def joined(sources: Sequence[Source], prepared: Sequence[Prepared]) -> Prepared:
    """The rows of all sources as those of one run; of a single dataset, just these.

    The fingerprint covers names, order and epochs of tasks besides their rows.
    """
    if not sources[0].task:
        return prepared[0]
    told = [
        [source.task, source.epochs, each.fingerprint]
        for source, each in zip(sources, prepared, strict=True)
    ]
    return Prepared(
        JoinedRows([each.rows for each in prepared]),
        reduce(add, (each.report for each in prepared)),
        hashlib.sha256(json.dumps(told).encode()).hexdigest(),
    )
