"""Where the user wrote each value of a config, so that errors can point at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from lorafw.errors import LorafwError, PluginError

OVERRIDE = "-o"


@dataclass(frozen=True, slots=True)
class Origins:
    """The place each config key was written.

    Attributes:
        places: dotted config key to `file:line`, or `-o`, or nothing for a flag.
    """

    places: Mapping[str, str] = field(default_factory=dict)

    def locate(self, key: str) -> str:
        """The key with the place it, or the nearest section around it, was written."""
        place = self._place(key)
        if place == OVERRIDE:
            return f"{OVERRIDE} {key}"
        return f"{place}: {key}" if place else key

    def line(self, key: str) -> str:
        """`file:line` of a key, or nothing when it is not from a file."""
        place = self._place(key)
        return "" if place == OVERRIDE else place

    def overridden(self, key: str) -> bool:
        """Whether the key itself was set by `-o`."""
        return self.places.get(key) == OVERRIDE

    @contextmanager
    def blame(self, key: str) -> Iterator[None]:
        """Make errors raised inside say where the faulty value was written."""
        try:
            yield
        except PluginError as error:
            error.where = error.where or self.line(f"{key}.use")
            raise
        except LorafwError as error:
            error.where = self.locate(error.where or key)
            raise

    def _place(self, key: str) -> str:
        while key not in self.places and "." in key:
            key = key.rpartition(".")[0]
        return self.places.get(key, "")
