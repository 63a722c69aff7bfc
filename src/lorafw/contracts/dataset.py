"""DatasetAdapter: rows from somewhere, as typed examples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from lorafw.contracts.component import Component
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

    @abstractmethod
    def load(self, split: Split) -> Sequence[Example]:
        """All rows of a split; an empty sequence when the source has no such split.

        Raises:
            DataError: a row is malformed; the message names file and line.
        """
