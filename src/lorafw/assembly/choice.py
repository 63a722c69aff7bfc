"""A part that a config chooses, before anyone built it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorafw.assembly.origins import Origins
from lorafw.errors import ConfigError

UNNAMED = ("encoder", "objective")
"""Kinds whose section may leave the name out: it follows from other parts."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One chosen part, not built yet.

    Attributes:
        kind: a key of `KINDS`.
        name: plain or qualified name, or import path.
        options: as given, not checked yet.
        key: its place in the config, `trainer` or `exporters.0`.
    """

    kind: str
    name: str
    options: Mapping[str, Any]
    key: str

    @classmethod
    def read(cls, kind: str, key: str, section: Mapping[str, Any], origins: Origins) -> Choice:
        """What a section of a config chooses.

        Raises:
            ConfigError: it has no `use`, and no other part tells the name.
        """
        if "use" not in section and kind not in UNNAMED:
            mend = "Add: use: NAME (see `lorafw plugins list`)"
            raise ConfigError(
                f"says not which {kind} to use.", where=origins.locate(key), mend=mend
            )
        options = {option: value for option, value in section.items() if option != "use"}
        return cls(kind, section.get("use", ""), options, key)
