"""Datasets with one fault each."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from lorafw.contracts import DatasetAdapter
from lorafw.errors import DataError
from lorafw.types import ChatExample, Example, LabeledExample, PromptExample, Split


class Lines(DatasetAdapter):
    """A row per line of a file, the last five held out; the others differ in one thing."""

    breaks: ClassVar[tuple[str, ...]] = ()

    path: Path = Field(description="The file.")

    @property
    def produces(self) -> type[Example]:
        return PromptExample

    def load(self, split: Split) -> Sequence[Example]:
        if not self.path.is_file():
            raise DataError("is missing.", where=str(self.path))
        rows = [PromptExample(line, "yes") for line in self.path.read_text().splitlines()]
        return rows[:-5] if split is Split.TRAIN else rows[-5:]


class Shuffling(Lines):
    """Another order every time."""

    breaks = ("loading twice gives the same rows in the same order",)

    def load(self, split: Split) -> Sequence[Example]:
        rows = list(super().load(split))
        return random.sample(rows, len(rows))


class Leaking(Lines):
    """Trains on what it holds out."""

    breaks = ("no held out row is trained on",)

    def load(self, split: Split) -> Sequence[Example]:
        train = super().load(Split.TRAIN)
        return train if split is Split.TRAIN else train[:1]


class Mistaken(Lines):
    """Promises conversations and gives pairs."""

    breaks = ("every row is of the kind it produces",)

    @property
    def produces(self) -> type[Example]:
        return ChatExample


class Unnamed(Lines):
    """Counts a class that has no name."""

    breaks = ("labels name the class of every row",)

    @property
    def produces(self) -> type[Example]:
        return LabeledExample

    @property
    def labels(self) -> tuple[str, ...]:
        return ("no", "yes")

    def load(self, split: Split) -> Sequence[Example]:
        rows = super().load(split)
        return [LabeledExample(repr(row), None, at % 3) for at, row in enumerate(rows)]


class Complaining(Lines):
    """Finds faults that keep nobody from loading."""

    breaks = ("a whole source has no faults",)

    def faults(self) -> Iterator[DataError]:
        yield DataError("is dull.", where=f"{self.path}:1")


class Rootless(Lines):
    """Comes from a file that is not there."""

    breaks = ("its origins are files",)

    def origins(self) -> Sequence[Path]:
        return (self.path.with_name("elsewhere.txt"),)


class Silent(Lines):
    """No file, no rows, no complaint."""

    breaks = ("a missing file is named",)

    def load(self, split: Split) -> Sequence[Example]:
        return super().load(split) if self.path.is_file() else []
