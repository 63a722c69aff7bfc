"""The dataset of TRACE's folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from lorafw.data.rows.row_dataset import Limit, RowDataset
from lorafw.data.rows.row_set import RowSet
from lorafw.data.rows.sources.formats import scan_files, scan_json
from lorafw.data.rows.sources.scanned import Source
from lorafw.errors import ConfigError, did_you_mean


class Trace(RowDataset):
    """A TRACE task: a folder of train.json, eval.json and test.json, lists of {prompt, answer}.

    A null answer is an empty one, so its row teaches nothing. Rows that are also in the file
    held out are left out of training.
    """

    path: Path = Field(description="Folder of the task.")
    eval_split: Literal["eval", "test"] = Field(
        "eval", description="Hold out the rows of eval.json or of test.json."
    )
    eval_limit: Limit = 1000

    def preflight(self) -> None:
        """Check that the folder and both files are there.

        Raises:
            ConfigError: one is missing.
        """
        if not self.path.is_dir():
            beside = self.path.parent
            near = [each.name for each in beside.iterdir()] if beside.is_dir() else []
            mend = did_you_mean(self.path.name, near)
            raise ConfigError(f"{self.path} is not a folder.", where="dataset.path", mend=mend)
        missing = [file.name for file in self.origins() if not file.is_file()]
        if missing:
            fault = f"{self.path} has no {' and no '.join(missing)}."
            mend = "A TRACE task has train.json, eval.json and test.json."
            raise ConfigError(fault, where="dataset.path", mend=mend)

    @property
    def rows(self) -> RowSet:
        """The rows of train.json, and of the file held out."""
        train, held_out = map(_source, self.origins())
        fields = {"prompt": "prompt", "response": "answer"}
        return RowSet(train, held_out, fields, limit=self.eval_limit)

    def origins(self) -> Sequence[Path]:
        """The file to train on and the file held out."""
        return (self.path / "train.json", self.path / f"{self.eval_split}.json")


def _source(file: Path) -> Source:
    return Source(str(file), lambda: scan_files([file], scan_json))
