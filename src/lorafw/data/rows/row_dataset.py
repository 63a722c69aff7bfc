"""Base of the datasets whose rows are objects with named fields."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from lorafw.contracts.dataset import DatasetAdapter
from lorafw.data.rows.fields import named_fields
from lorafw.data.rows.row_set import RowSet
from lorafw.errors import DataError
from lorafw.types import Example, Split


def _known_parts(names: Mapping[str, str] | None) -> Mapping[str, str] | None:
    if names is not None:
        named_fields(names)
    return names


def _each_once(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if names is not None and (len(names) < 2 or len(set(names)) < len(names)):
        raise ValueError("must name at least two classes, each once")
    return names


FieldNames = Annotated[
    Mapping[str, str] | None,
    AfterValidator(_known_parts),
    Field(
        description="Which fields to read, by the part each holds, such as {prompt: …, "
        "response: …, input: …}, where their names do not tell."
    ),
]
ClassNames = Annotated[
    tuple[str, ...] | None,
    AfterValidator(_each_once),
    Field(description="Names of the classes of labelled rows, in order; told from them if unset."),
]
Fraction = Annotated[float, Field(ge=0, le=0.5)]
Limit = Annotated[int, Field(ge=0, description="Most held-out rows.")]


class RowDataset(DatasetAdapter):
    """A dataset that says where its rows are; reading and splitting them is the same for all."""

    @property
    @abstractmethod
    def rows(self) -> RowSet:
        """Where the rows come from and how they are read."""

    @property
    def produces(self) -> type[Example]:
        """The kind of example that the first row's fields tell.

        Raises:
            DataError: there is no such row, or its fields do not tell.
        """
        return self.rows.kind

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes of labelled rows; reads all rows to train on unless given."""
        return self.rows.labels

    def load(self, split: Split) -> Sequence[Example]:
        """The rows of a split, in the order of the source.

        Raises:
            DataError: a row is malformed or of another kind than the first, or there are none.
        """
        return self.rows.load(split)

    def faults(self) -> Iterator[DataError]:
        """Every row that cannot be read, with its file and line and the reason."""
        try:
            yield from self.rows.faults()
        except DataError as error:  # of the whole source
            yield error

    def notices(self) -> Sequence[str]:
        """How many rows were left out of training because they are held out."""
        rows = self.rows
        if rows.held_out is None or not (count := rows.overlap()):
            return ()
        were = "row was" if count == 1 else "rows were"
        return (f"{count} {were} left out of training: also in {rows.held_out.name}.",)
