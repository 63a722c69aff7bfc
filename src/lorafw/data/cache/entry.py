"""One split's rows on disk: an Arrow file, and beside it what is known of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lorafw.data.cache.faults import DamagedError
from lorafw.data.encoded.report import Report
from lorafw.types import Split

ROWS, ABOUT = "rows.arrow", "about.json"
LOCK, UNFINISHED = ".lock", ".new"


@dataclass(frozen=True, slots=True)
class About:
    """What is known of an Arrow file of rows.

    Attributes:
        key: address of the rows.
        bytes, sha256: size and content of the file.
        fingerprint: of the rows, as `lorafw.data.encoded.prepare.fingerprint` makes it.
        report: what became of the split.
        told: names of what the rows are made from, for a list.
        left_out: what the data set says of rows that it left out itself.
        created: when they were encoded, UTC.
    """

    key: str
    bytes: int
    sha256: str
    fingerprint: str
    report: Report
    told: dict[str, str]
    left_out: list[str]
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass(frozen=True, slots=True)
class Entry:
    """The folder of one split's rows."""

    path: Path

    @property
    def rows(self) -> Path:
        """The Arrow file."""
        return self.path / ROWS

    @property
    def about(self) -> Path:
        """What is known of it, as JSON; when it was last changed is when rows were last used."""
        return self.path / ABOUT

    @property
    def lock(self) -> Path:
        """Held by the one who writes."""
        return self.path.with_name(self.path.name + LOCK)

    def unfinished(self) -> Entry:
        """Where the entry is written before it has its name."""
        return Entry(self.path.with_name(self.path.name + UNFINISHED))

    def read(self) -> About | None:
        """What is known of the rows; None if there are none.

        Raises:
            DamagedError: it is not JSON, or something is missing from it.
            OSError: it cannot be read.
        """
        try:
            values = json.loads(self.about.read_bytes())
        except FileNotFoundError:
            if self.path.exists():
                raise DamagedError from None
            return None
        except ValueError:
            raise DamagedError from None
        try:
            report = Report(**{**values["report"], "split": Split(values["report"]["split"])})
            return About(**{**values, "report": report})
        except (KeyError, TypeError, ValueError):
            raise DamagedError from None

    def checked(self) -> About | None:
        """What `read` gives, once the whole file is seen to be as it was written.

        The file's bytes pass by in small blocks; none stays in memory.

        Raises:
            DamagedError: something is not as it was written.
            OSError: it cannot be read.
        """
        about = self.read()
        if about is None:
            return None
        if about.key != self.path.name or self.rows.stat().st_size != about.bytes:
            raise DamagedError
        if digest(self.rows) != about.sha256:
            raise DamagedError
        return about

    def write_about(self, about: About) -> None:
        """Say what is known of the rows."""
        self.about.write_text(json.dumps(asdict(about), indent=2) + "\n", encoding="utf-8")

    def used(self) -> None:
        """Note that the rows were used just now, where that can be noted."""
        with suppress(OSError):  # a place that can only be read serves as well
            os.utime(self.about)

    def remove(self) -> None:
        """Take everything away; who has the file mapped keeps what they have."""
        if self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """SHA-256, in hex, of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
