"""Rows of a data set as examples, split into those to train and those held out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lorafw.data.rows.classes import Classes
from lorafw.data.rows.row_kinds import NamedLabel
from lorafw.data.rows.row_reader import Draft, placed, read_drafts, sound
from lorafw.data.rows.sources.scanned import Source
from lorafw.data.rows.split import lowest, split_by_content
from lorafw.errors import DataError
from lorafw.types import Example, LabeledExample, Split


@dataclass(frozen=True, slots=True)
class RowSet:
    """Where the rows of a data set come from and how they are read.

    Attributes:
        train: the rows to train on.
        held_out: the rows held out; without it, some of `train` are.
        fields: the parts of a row and the fields they are in; told from the row if not given.
        classes: names of the classes of labelled rows, in order; told from `train` if not given.
        fraction: share of `train` held out, by content, where there is no `held_out`.
        limit: most held-out rows.
    """

    train: Source
    held_out: Source | None = None
    fields: Mapping[str, str] | None = None
    classes: tuple[str, ...] | None = None
    fraction: float = 0.0
    limit: int = 1000

    @property
    def kind(self) -> type[Example]:
        """The kind of the first row, and so of all.

        Raises:
            DataError: there is no row, or its fields do not tell.
        """
        return next(sound(read_drafts(self.train, self.fields))).kind

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes; empty if the rows are not labelled.

        Raises:
            DataError: there is no row, or labels are both numbers and texts.
        """
        return self._classes().names if self.kind is LabeledExample else ()

    def load(self, split: Split) -> list[Example]:
        """The rows of a split, in their order.

        Raises:
            DataError: a row is malformed or of another kind than the first, or there are none.
        """
        if self.held_out is None:
            rows = self._read(self.train)
            return split_by_content(rows, self.fraction, self.limit)[split is Split.EVAL]
        if split is Split.EVAL:
            return lowest(self._read(self.held_out), self.limit)
        apart = self._apart(self._read(self.train), self._read(self.held_out))
        if not apart:
            raise DataError(
                f"every row is also in {self.held_out.name}, so none is left to train on.",
                where=self.train.name,
                mend="Name other rows to hold out, or none: some of these are then.",
            )
        return apart

    def faults(self) -> Iterator[DataError]:
        """Every fault of both sources, in their order."""
        for source in filter(None, (self.train, self.held_out)):
            for found in self._examples(source):
                if isinstance(found, DataError):
                    yield found

    def overlap(self) -> int:
        """How many rows of `train` are left out because they are also held out.

        Raises:
            DataError: a row is malformed.
        """
        if self.held_out is None:
            return 0
        rows = self._read(self.train)
        return len(rows) - len(self._apart(rows, self._read(self.held_out)))

    def _read(self, source: Source) -> list[Example]:
        return list(sound(self._examples(source)))

    @staticmethod
    def _apart(rows: Sequence[Example], others: Sequence[Example]) -> list[Example]:
        kept = set(others)
        return [row for row in rows if row not in kept]

    def _examples(self, source: Source) -> Iterator[Example | DataError]:
        """The rows of a source, each with its class numbered, and its faults."""
        classes: Classes | None = None
        for found in self._drafts(source):
            if isinstance(found, DataError):
                yield found
            elif isinstance(found.example, NamedLabel):
                try:
                    classes = classes or self._classes()
                except DataError as error:
                    yield error
                    return
                yield _numbered(found.example, classes, found.where)
            else:
                yield found.example

    def _drafts(self, source: Source) -> Iterator[Draft | DataError]:
        kind = None
        if source is self.held_out:
            firsts = read_drafts(self.train, self.fields)
            kind = next((found.kind for found in firsts if isinstance(found, Draft)), None)
        return read_drafts(source, self.fields, kind)

    def _classes(self) -> Classes:
        if self.classes is not None:
            return Classes(self.classes)
        drafts = (found for found in self._drafts(self.train) if isinstance(found, Draft))
        rows = (draft.example for draft in drafts)
        try:
            return Classes.of(row.label for row in rows if isinstance(row, NamedLabel))
        except DataError as error:
            raise placed(error, self.train.name) from None


def _numbered(row: NamedLabel, classes: Classes, where: str) -> LabeledExample | DataError:
    try:
        return classes.numbered(row)
    except DataError as error:
        return placed(error, where)
