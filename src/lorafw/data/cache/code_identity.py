"""Which code makes rows: versions of the libraries, and the content of the modules."""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import lorafw
from lorafw.data.cache.faults import NoAddressError

_LIBRARIES = ("tokenizers", "transformers", "jinja2")
_COMMON = Path(__file__).parents[1]
"""Turns examples into rows, whichever parts are used."""
_FOREIGN = {"builtins", "abc", "typing", "pydantic", "transformers"}


def code_identity(*parts: object) -> dict[str, str]:
    """Versions, and a SHA-256 over the Python files that turn files into rows.

    These are the files of `lorafw.data` and those beside and below a class of one of the parts.

    Raises:
        NoAddressError: a class is written in no file, as in a notebook.
    """
    places = {_COMMON, *(place for part in parts for place in _places(type(part)))}
    digest = hashlib.sha256()
    for content in sorted(map(_content, places)):
        digest.update(content)
    versions = {name: metadata.version(name) for name in _LIBRARIES}
    return {"lorafw": lorafw.__version__, **versions, "code": digest.hexdigest()}


def _places(part: type) -> set[Path]:
    """Where a class and those it inherits from are written: packages, or modules in none."""
    names = {kind.__module__ for kind in part.__mro__}
    return {_place(name) for name in names if name.partition(".")[0] not in _FOREIGN}


def _place(name: str) -> Path:
    module = sys.modules.get(name)
    if module is None or not getattr(module, "__file__", None):
        raise NoAddressError(f"{name} is in no file")
    file = Path(str(module.__file__))
    return file.parent if module.__package__ else file


@cache
def _content(place: Path) -> bytes:
    digest = hashlib.sha256()
    for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        digest.update(file.name.encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.digest()
