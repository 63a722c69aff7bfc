"""Rows of Hugging Face datasets, from the hub or from a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorafw.data.rows.sources.scanned import Record, Scanned, never_empty
from lorafw.errors import ConfigError, DataError

_SAVED = ("dataset_dict.json", "state.json")
"""Files by which a folder is known that `save_to_disk` wrote."""

_TROUBLES = (OSError, ValueError, KeyError, RuntimeError)
"""What the library raises for names that are not there, damaged files and a missing network."""


@dataclass(frozen=True, slots=True)
class HubSplit:
    """A split, or part of one, of a Hugging Face dataset.

    Attributes:
        path: name on the hub, or a folder.
        split: as `datasets` reads it: `train`, `train[:5000]`, `train[80%:]+validation`.
        name: which configuration, where there are several.
        revision: branch, tag or commit on the hub.
    """

    path: str
    split: str
    name: str | None = None
    revision: str | None = None

    def __str__(self) -> str:
        config = f"/{self.name}" if self.name else ""
        return f"{self.path}{config}, split {self.split}"

    def open(self) -> Any:
        """The `datasets.Dataset`.

        Raises:
            ConfigError: the library is not installed.
            DataError: there is no such dataset, configuration or split, or it cannot be fetched.
        """
        datasets = library()
        with self._explained(datasets):
            return self._saved(datasets) if self.is_saved else self._loaded(datasets)

    def scan(self) -> Iterator[Scanned]:
        """The rows, numbered from one within the split; raises what `open` raises."""
        rows = self.open()
        with self._explained(library()):
            numbered = (Record(f"{self}, row {at}", row) for at, row in enumerate(rows, 1))
            yield from never_empty(numbered, str(self))

    @property
    def is_saved(self) -> bool:
        """Whether it is a folder that `save_to_disk` wrote."""
        return any((Path(self.path) / file).is_file() for file in _SAVED)

    def _loaded(self, datasets: Any) -> Any:
        return datasets.load_dataset(self.path, self.name, split=self.split, revision=self.revision)

    def _saved(self, datasets: Any) -> Any:
        saved = datasets.load_from_disk(self.path)
        splits = saved if isinstance(saved, dict) else {str(saved.split or "train"): saved}
        lengths = {name: len(rows) for name, rows in splits.items()}
        parts = datasets.ReadInstruction.from_spec(self.split).to_absolute(lengths)
        return datasets.concatenate_datasets(
            [splits[part.splitname].select(range(part.from_, part.to)) for part in parts]
        )

    @contextmanager
    def _explained(self, datasets: Any) -> Iterator[None]:
        try:
            yield
        except (*_TROUBLES, datasets.exceptions.DatasetsError) as error:
            # What went wrong while a file was converted is told by the cause alone.
            converting = isinstance(error, datasets.exceptions.DatasetGenerationError)
            raise self._unreadable((converting and error.__cause__) or error) from None

    def _unreadable(self, error: BaseException) -> DataError:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        mend = "Is the name right, and the machine online (HF_HUB_OFFLINE unset)?"
        return DataError(
            f"cannot be read: {reason}.",
            where=str(self),
            mend="" if Path(self.path).exists() else mend,
        )


def library() -> Any:
    """The optional library `datasets`.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import datasets
    except ModuleNotFoundError:
        raise ConfigError(
            "the library 'datasets' is not installed.",
            where="dataset.use",
            mend='Run: pip install "lorafw[hub]"',
        ) from None
    return datasets
