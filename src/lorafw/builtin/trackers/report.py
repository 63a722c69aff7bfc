"""Listener `report`: a page about the run, in one file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from lorafw.adapters.files.safe_files import replace_text
from lorafw.builtin.trackers._history import History
from lorafw.contracts.listener import Listener

FILE = "report.html"


class Report(Listener):
    """Writes report.html: what was run, how it went, and how to use what came out."""

    def open(self, folder: Path) -> object:
        """A listener that writes after each evaluation and at the end."""
        return _Page(folder)


class _Page(History):
    def show(self) -> None:
        from lorafw.builtin.trackers import _page

        replace_text(self.folder / FILE, _page.render(self))
