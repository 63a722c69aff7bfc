"""Rows of a source as examples of one kind, faults in their places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from lorafw.data.rows.choices import ChoiceFields
from lorafw.data.rows.fields import detect_fields, named_fields
from lorafw.data.rows.row_kinds import Fields, NamedLabel
from lorafw.data.rows.sources.scanned import Record, Source
from lorafw.errors import DataError
from lorafw.types import Example, LabeledExample

T = TypeVar("T")


class Draft(NamedTuple):
    """An example and where its row stands; a labelled one has its class not numbered yet."""

    where: str
    example: Example

    @property
    def kind(self) -> type[Example]:
        """The kind of example it becomes."""
        return LabeledExample if isinstance(self.example, NamedLabel) else type(self.example)


def read_drafts(
    source: Source, names: Mapping[str, str] | None, kind: type[Example] | None = None
) -> Iterator[Draft | DataError]:
    """The rows of a source in their order, with a fault in the place of each that is wrong.

    Args:
        source: where they come from.
        names: the parts of a row and the fields they are in; told from each row if not given.
        kind: what every row has to be; what the first one is if not given.
    """
    fields = named_fields(names) if names else None
    for record in source.scan():
        found = record if isinstance(record, DataError) else _draft(record, fields)
        if isinstance(found, Draft):
            kind = kind or found.kind
            if found.kind is not kind:
                found = _of_another_kind(found, kind)
        yield found


def sound(found: Iterable[T | DataError]) -> Iterator[T]:
    """What was found; raises the first fault."""
    for each in found:
        if isinstance(each, DataError):
            raise each
        yield each


def placed(error: DataError, where: str) -> DataError:
    """The same error, found at a place."""
    return DataError(error.what, where=where, mend=error.mend)


def _draft(record: Record, fields: Fields | ChoiceFields | None) -> Draft | DataError:
    try:
        fields = fields or detect_fields(record.row)
        return Draft(record.where, fields.read(record.row))
    except DataError as error:
        return placed(error, record.where)


def _of_another_kind(draft: Draft, kind: type[Example]) -> DataError:
    return DataError(
        f"is a {draft.kind.__name__}, unlike the first row, a {kind.__name__}.",
        where=draft.where,
        mend="Rows of one run are of one kind; split the file.",
    )
