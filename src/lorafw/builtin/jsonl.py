"""The dataset of JSON Lines files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from lorafw.contracts import DatasetAdapter
from lorafw.data.fields import detect_fields, named_fields
from lorafw.data.records import read_records
from lorafw.data.split import lowest, split_by_content
from lorafw.errors import ConfigError, DataError, did_you_mean
from lorafw.types import Example, Split


class Jsonl(DatasetAdapter):
    """Prompt and response pairs or conversations in a .jsonl file, or in a list in a .json file.

    Which of the two a row is, the names of its fields tell; all rows of a run are of one kind.
    Rows that are also in `eval_path` are left out of training.
    """

    path: Path = Field(description="File with the rows to train on.")
    eval_path: Path | None = Field(
        None, description="File with held-out rows; without it some of `path` are held out."
    )
    fields: Mapping[str, str] | None = Field(
        None,
        description="Which fields to read, as {prompt: …, response: …, input: …} or "
        "{messages: …, system: …}, where their names do not tell.",
    )
    eval_fraction: float = Field(
        0.05, ge=0, le=0.5, description="Share of `path` held out, by content; 0 for none."
    )
    eval_limit: int = Field(1000, ge=0, description="Most held-out rows.")

    @field_validator("fields")
    @classmethod
    def _known_parts(cls, names: Mapping[str, str] | None) -> Mapping[str, str] | None:
        if names is not None:
            named_fields(names)
        return names

    def preflight(self) -> None:
        """Check that the files are there.

        Raises:
            ConfigError: a path is not a file.
        """
        for key, path in (("path", self.path), ("eval_path", self.eval_path)):
            if path is not None and not path.is_file():
                raise _no_file(f"dataset.{key}", path)

    @property
    def produces(self) -> type[Example]:
        """`PromptExample` or `ChatExample`, told from the first row of `path`.

        Raises:
            DataError: there is no such row, or its fields do not tell.
        """
        return type(next(self._examples(self.path)))

    def load(self, split: Split) -> Sequence[Example]:
        """The rows of a split, in the order of the file.

        Raises:
            DataError: a row is malformed or of another kind than the first, or there are none.
        """
        rows = list(self._examples(self.path))
        if self.eval_path is None:
            train, held_out = split_by_content(rows, self.eval_fraction, self.eval_limit)
            return train if split is Split.TRAIN else held_out
        others = list(self._examples(self.eval_path, type(rows[0])))
        return lowest(others, self.eval_limit) if split is Split.EVAL else self._apart(rows, others)

    def _apart(self, rows: Sequence[Example], others: Sequence[Example]) -> list[Example]:
        kept = set(others)
        train = [row for row in rows if row not in kept]
        if train:
            return train
        raise DataError(
            f"every row is also in {self.eval_path}, so none is left to train on.",
            where=str(self.path),
            mend="Leave eval_path out to hold some rows out of path.",
        )

    def _examples(self, path: Path, kind: type[Example] | None = None) -> Iterator[Example]:
        """The rows of a file, all of one kind: the given one, or else the first row's."""
        line = 0
        for line, row in read_records(path):
            example = self._example(row, f"{path}:{line}")
            kind = kind or type(example)
            if type(example) is not kind:
                raise DataError(
                    f"is a {type(example).__name__}, unlike the first row, a {kind.__name__}.",
                    where=f"{path}:{line}",
                    mend="Rows of one run are of one kind; split the file.",
                )
            yield example
        if not line:
            raise DataError("holds no rows.", where=str(path))

    def _example(self, row: Mapping[str, Any], where: str) -> Example:
        try:
            fields = named_fields(self.fields) if self.fields else detect_fields(row)
            return fields.read(row)
        except DataError as error:
            raise DataError(error.what, where=where, mend=error.mend) from None


def _no_file(key: str, path: Path) -> ConfigError:
    beside = path.parent
    siblings = [each.name for each in beside.iterdir()] if beside.is_dir() else []
    fault = "is a folder, not a file" if path.is_dir() else "does not exist"
    return ConfigError(f"{path} {fault}.", where=key, mend=did_you_mean(path.name, siblings))
