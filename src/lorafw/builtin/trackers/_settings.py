"""A config as flat names and plain values, with secrets hidden."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

Scalar = str | int | float | bool | None

HIDDEN = "***"
_SECRET_NAME = re.compile(
    r"(^|_)(token|password|passwd|passphrase|secret|credentials?|apikey|(api|access|private)_key)"
    r"(_?\d+)?$"
)
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_TOKEN = re.compile(r"\b(hf_|sk-|ghp_|github_pat_|glpat-|xox[abp]-|AKIA)[A-Za-z0-9_-]{12,}")


def flattened(values: Mapping[str, Any]) -> dict[str, Scalar]:
    """Nested values as one level, `plan.learning_rate` and `exporters.0.use`; secrets hidden.

    A list of plain values stays one value, written out.
    """
    return dict(_leaves(without_secrets(values), ""))


def without_secrets(value: Any, name: str = "") -> Any:
    """The same values, with `***` for what a name such as `api_key` or its form calls secret."""
    if _is_secret(name) and value is not None and not isinstance(value, bool):
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(key): without_secrets(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    if isinstance(value, PurePath):
        value = str(value)
    return without_logins(value) if isinstance(value, str) else value


def without_logins(text: str) -> str:
    """A text without the logins in its addresses and without well-known forms of tokens."""
    return _TOKEN.sub(HIDDEN, _LOGIN.sub(HIDDEN, text))


def _is_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(_WORD.sub("_", name).lower()))


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Scalar]]:
    inner: Mapping[Any, Any] | None = None
    if isinstance(value, Mapping):
        inner = value
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        inner = dict(enumerate(value))
    if inner is None:
        yield name, _scalar(value)
        return
    for key, item in inner.items():
        yield from _leaves(item, f"{name}.{key}" if name else str(key))


def _scalar(value: Any) -> Scalar:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return value if isinstance(value, str | int | float | None) else str(value)
