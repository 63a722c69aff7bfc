"""The dataset of Hugging Face datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from lorafw.data.rows.row_dataset import ClassNames, FieldNames, Fraction, Limit, RowDataset
from lorafw.data.rows.row_set import RowSet
from lorafw.data.rows.sources.hub import HubSplit, library
from lorafw.data.rows.sources.scanned import Source


class HuggingFace(RowDataset):
    """A dataset of the Hugging Face hub, saved by `save_to_disk`, or a folder `datasets` reads.

    What a row is, the names of its columns tell. Rows that are also in `eval_split` are left out
    of training. Needs the library `datasets`: pip install "lorafw[hub]".
    """

    path: str = Field(description="Name on the hub, such as nyu-mll/glue, or a folder.")
    name: str | None = Field(None, description="Which configuration, such as mrpc.")
    revision: str | None = Field(None, description="Branch, tag or commit on the hub.")
    split: str = Field("train", description="Rows to train on, such as train[:5000].")
    eval_split: str | None = Field(
        None, description="Held-out rows; without it some of `split` are held out."
    )
    fields: FieldNames = None
    classes: ClassNames = None
    eval_fraction: Fraction = Field(
        0.05, description="Share of `split` held out, by content; 0 for none."
    )
    eval_limit: Limit = 1000

    def preflight(self) -> None:
        """Check that the library is there.

        Raises:
            ConfigError: it is not.
        """
        library()

    @property
    def rows(self) -> RowSet:
        """The rows of both splits."""
        train = self._split(self.split)
        return RowSet(
            _source(train),
            _source(self._split(self.eval_split)) if self.eval_split else None,
            self.fields,
            self.classes or self._named_by(train),
            self.eval_fraction,
            self.eval_limit,
        )

    def origins(self) -> Sequence[Path]:
        """The Arrow files of both splits, as the library keeps them."""
        names = filter(None, (self.split, self.eval_split))
        files = [
            file["filename"] for name in names for file in self._split(name).open().cache_files
        ]
        return tuple(Path(file) for file in dict.fromkeys(files))

    def _split(self, split: str) -> HubSplit:
        return HubSplit(self.path, split, self.name, self.revision)

    def _named_by(self, split: HubSplit) -> tuple[str, ...] | None:
        """The names of the classes where the column of labels carries them."""
        column = (self.fields or {}).get("label", "label")
        names = getattr(split.open().features.get(column), "names", None)
        return tuple(names) if names else None


def _source(split: HubSplit) -> Source:
    return Source(str(split), split.scan)
