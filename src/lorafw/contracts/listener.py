"""Listener: hears what happens in a run and cannot change it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from lorafw.contracts.component import Component


class Listener(Component, ABC):
    """Told of events on rank 0; one that raises is reported once and dropped."""

    @abstractmethod
    def open(self, folder: Path) -> object:
        """A live object whose `@listens` methods are called; `folder` is the run's folder.

        The events and their payloads are the functions of `lorafw.assembly.hooks.Events`; a
        method may take fewer arguments than its event has.
        """
