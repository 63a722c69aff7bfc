"""What a tracker was told of a run, kept in its folder so that a resumed run goes on with it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lorafw.adapters.files.safe_files import replace_text
from lorafw.training.checkpoints.places import newest_step


def goes_on(folder: Path) -> bool:
    """Whether an earlier process left a whole checkpoint in the run's folder."""
    return newest_step(folder / "checkpoints") is not None


@dataclass
class Told:
    """The tracker's name for the run, and how far it was told.

    Attributes:
        path: file that keeps the rest.
        run: what the tracker calls the run; empty for a run it does not know yet.
        last: last step told, by series.
        notices: sentences told, each once.
    """

    path: Path
    run: str = ""
    last: dict[str, int] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, folder: Path) -> Told:
        """What an earlier process of the run in `folder` kept; nothing for a new run."""
        if not (path.exists() and goes_on(folder)):
            return cls(path)
        return cls(path, **json.loads(path.read_text(encoding="utf-8")))

    def is_news(self, series: str, step: int) -> bool:
        """Whether a series has not got as far as this step; notes that now it has.

        A resumed run repeats the steps since its checkpoint, with the same figures.
        """
        if step <= self.last.get(series, -1):
            return False
        self.last[series] = step
        self.write()
        return True

    def add_notice(self, message: str) -> str:
        """All notices up to this one, a line each."""
        if message not in self.notices:
            self.notices.append(message)
            self.write()
        return "\n".join(self.notices)

    def write(self) -> None:
        """Keep it, in one move."""
        values = asdict(self)
        del values["path"]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(self.path, json.dumps(values))
