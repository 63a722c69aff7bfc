"""Values that a config leaves for the user to set."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from lorafw.assembly.origins import Origins
from lorafw.errors import ConfigError

UNSET = "???"
"""Stands in a config where only the user can know the value, as in OmegaConf's configs."""


def require_values(
    sections: Mapping[str, Any], origins: Origins, left_out: Collection[str] = ()
) -> None:
    """Make sure that no value is still `???`.

    Args:
        sections: a config's sections.
        origins: where each value was written.
        left_out: sections that need not be filled in.

    Raises:
        ConfigError: some are; the message names them all.
    """
    keys = [key for key in unset_keys(sections) if key.partition(".")[0] not in left_out]
    if keys:
        verb = "is" if len(keys) == 1 else "are"
        raise ConfigError(
            f"{' and '.join(keys)} {verb} left for you to set.",
            where=origins.line(keys[0]),
            mend=f"Set: {' '.join(f'-o {key}=…' for key in keys)}",
        )


def unset_keys(value: Any, key: str = "") -> Iterator[str]:
    """Dotted keys of all values that are `???`."""
    if value == UNSET:
        yield key
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from unset_keys(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from unset_keys(inner, f"{key}.{index}")
