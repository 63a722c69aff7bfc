"""DatasetAdapter: rows from somewhere, as typed examples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

from lorafw.contracts.component import Component
from lorafw.errors import DataError
from lorafw.types import Example, Split


class DatasetAdapter(Component, ABC):
    """Reads rows of one kind and hands them on as typed examples.

    `load` is deterministic: called again, in another process or on another rank, it gives the
    same rows in the same order. A row of `Split.EVAL` is never also one of `Split.TRAIN`.
    """

    @property
    @abstractmethod
    def produces(self) -> type[Example]:
        """The kind of every row; may read the first row, never the whole source.

        Raises:
            DataError: the source cannot be read.
        """

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes that `LabeledExample.label` counts; empty for other rows."""
        return ()

    @abstractmethod
    def load(self, split: Split) -> Sequence[Example]:
        """All rows of a split; an empty sequence when the source has no such split.

        Raises:
            DataError: a row is malformed; the message names file and line.
        """

    def faults(self) -> Iterator[DataError]:
        """Every fault of the whole source, each with its file and line.

        Unlike `load` it goes on behind a fault where it can. Unless a dataset knows better, the
        one error that `load` ends with.
        """
        try:
            for split in Split:
                self.load(split)
        except DataError as error:
            yield error

    def notices(self) -> Sequence[str]:
        """What the user should know of how rows were read; may read the whole source again."""
        return ()

    def origins(self) -> Sequence[Path]:
        """The files the rows come from; empty where they are not known.

        Rows are the same as long as the options and the bytes of these files are.
        """
        return ()
