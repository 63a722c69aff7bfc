"""Seeing that every rank was started with the same config."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from lorafw.errors import ConfigError

_MAY_DIFFER = ("run.output", "versions.python")
"""Only rank 0 has a folder."""


def digests(values: Mapping[str, Any]) -> dict[str, str]:
    """A digest of every value of a resolved config, by dotted key; what may differ is left out."""
    flat = dict(_flat("", values))
    return {key: _digest(value) for key, value in flat.items() if key not in _MAY_DIFFER}


def check_same(mine: Mapping[str, str], leading: Mapping[str, str], rank: int) -> None:
    """Compare this rank's digests with rank 0's.

    Raises:
        ConfigError: they differ; the message names the keys.
    """
    keys = sorted({*mine, *leading})
    other = [key for key in keys if mine.get(key) != leading.get(key)]
    if other:
        shown = ", ".join(other[:5]) + (", …" if len(other) > 5 else "")
        raise ConfigError(
            f"rank {rank} was started with another config than rank 0: {shown}.",
            mend="Start every node with the same config and flags.",
        )


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", value


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
