"""The dataset of several datasets in given shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from lorafw.assembly.registry import Registry
from lorafw.contracts import DatasetAdapter
from lorafw.data.rows.mixture import shares, taken
from lorafw.errors import DataError, LorafwError
from lorafw.types import Example, Split


class Mix(DatasetAdapter):
    """Several datasets mixed by weight.

    A weight is a share: of the rows trained in one epoch, part i gives weight i of the sum of
    all weights, every row of it as often as any other or once more; which rows come once more,
    their content and `seed` tell. Without weights every row comes once. What any part holds out
    is held out, each row once, and left out of training in all parts.
    """

    parts: tuple[Mapping[str, Any], ...] = Field(
        min_length=1,
        description="The datasets, each with its options, as {use: jsonl, path: …, weight: 2}; "
        "all or none have a weight.",
    )
    size: int | None = Field(
        None, ge=1, description="Rows to train on in one epoch; as many as the parts have if unset."
    )
    seed: int = Field(0, description="Tells with their content which rows come once more.")

    @field_validator("parts")
    @classmethod
    def _well_formed(cls, parts: tuple[Mapping[str, Any], ...]) -> tuple[Mapping[str, Any], ...]:
        weights = [part["weight"] for part in parts if "weight" in part]
        if not all(isinstance(part.get("use"), str) for part in parts):
            raise ValueError("every part must name its dataset: {use: jsonl, …}")
        if len(weights) not in (0, len(parts)):
            raise ValueError("all parts must have a weight, or none")
        if not all(_is_weight(weight) for weight in weights):
            raise ValueError("a weight must be a number above 0")
        return parts

    def preflight(self) -> None:
        """Check every part.

        Raises:
            LorafwError: an option of a part is wrong, or what its own check raises.
        """
        for at, part in enumerate(self._built()):
            with _within(at):
                part.preflight()

    @property
    def produces(self) -> type[Example]:
        """The kind of every part.

        Raises:
            DataError: parts are of different kinds, or one cannot be read.
        """
        kinds = list(dict.fromkeys(part.produces for part in self._built()))
        if len(kinds) > 1:
            names = " and ".join(kind.__name__ for kind in kinds)
            raise DataError(f"the parts produce {names}.", where="dataset.parts")
        return kinds[0]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, the same in every part.

        Raises:
            DataError: they are not the same.
        """
        found = list(dict.fromkeys(part.labels for part in self._built()))
        if len(found) > 1:
            raise DataError(
                f"the parts name different classes ({found[0]} and {found[1]}).",
                where="dataset.parts",
                mend="Give every part the same option `classes`.",
            )
        return found[0]

    def load(self, split: Split) -> Sequence[Example]:
        """The held-out rows of all parts, or the rows to train on, part by part.

        Raises:
            DataError: a row of a part is malformed, or nothing of a part is left to train on.
        """
        parts = self._built()
        held_out = dict.fromkeys(row for part in parts for row in part.load(Split.EVAL))
        if split is Split.EVAL:
            return list(held_out)
        rows = [[row for row in part.load(split) if row not in held_out] for part in parts]
        for at, found in enumerate(rows):
            if not found:
                fault = "nothing is left to train on: all its rows are held out."
                raise DataError(fault, where=f"dataset.parts.{at}")
        return self._mixed(rows)

    def faults(self) -> Iterator[DataError]:
        """The faults of every part."""
        for part in self._built():
            yield from part.faults()

    def notices(self) -> Sequence[str]:
        """The notices of every part."""
        return [notice for part in self._built() for notice in part.notices()]

    def origins(self) -> Sequence[Path]:
        """The files of every part; empty if those of one are not known."""
        found = [part.origins() for part in self._built()]
        return [path for paths in found for path in paths] if all(found) else ()

    def _mixed(self, rows: Sequence[Sequence[Example]]) -> list[Example]:
        lengths = [len(found) for found in rows]
        weights = [part["weight"] for part in self.parts if "weight" in part] or lengths
        counts = shares(weights, self.size or sum(lengths))
        pairs = zip(rows, counts, strict=True)
        return [row for found, count in pairs for row in taken(found, count, self.seed)]

    def _built(self) -> list[DatasetAdapter]:
        """The parts; raises LorafwError where a name or an option is wrong."""
        return [_built(part, f"dataset.parts.{at}") for at, part in enumerate(self.parts)]


@cache
def _registry() -> Registry:
    return Registry()


def _built(part: Mapping[str, Any], where: str) -> DatasetAdapter:
    options = {name: value for name, value in part.items() if name not in ("use", "weight")}
    built = _registry().load("dataset", part["use"]).from_mapping(options, where=where)
    assert isinstance(built, DatasetAdapter)
    return built


def _is_weight(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < inf


@contextmanager
def _within(at: int) -> Iterator[None]:
    """Let the error of a part name the part's place in the config."""
    try:
        yield
    except LorafwError as error:
        where = error.where.removeprefix("dataset").removeprefix(".")
        place = f"dataset.parts.{at}" + (f".{where}" if where else "")
        raise type(error)(error.what, where=place, mend=error.mend) from None
