"""Listeners with one fault each."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lorafw.assembly.hooks import listens
from lorafw.contracts import Listener

ALL = (
    "it listens to something",
    "it hears a run from start to end",
    "it hears a run that fails",
    "it opens again in the folder of a resumed run",
)


class Deaf(Listener):
    """Hears nothing: the mark is missing."""

    breaks: ClassVar[tuple[str, ...]] = ("it listens to something",)

    def open(self, folder: Path) -> object:
        return self._Live()

    class _Live:
        def notice(self, message: str) -> None:
            pass


class Touchy(Listener):
    """Cannot bear a step that took no time."""

    breaks: ClassVar[tuple[str, ...]] = ALL

    def open(self, folder: Path) -> object:
        return self._Live()

    class _Live:
        @listens
        def step_end(self, tokens: int, seconds: float) -> float:
            return tokens / seconds


class Optimistic(Listener):
    """Did not expect a run to fail."""

    breaks: ClassVar[tuple[str, ...]] = (ALL[2], ALL[3])

    def open(self, folder: Path) -> object:
        return self._Live()

    class _Live:
        @listens
        def run_failed(self) -> None:
            raise NotImplementedError


class Possessive(Listener):
    """Wants the folder for itself."""

    breaks: ClassVar[tuple[str, ...]] = (ALL[3],)

    def open(self, folder: Path) -> object:
        (folder / "mine").mkdir()
        return self._Live()

    class _Live:
        @listens
        def notice(self, message: str) -> None:
            pass
