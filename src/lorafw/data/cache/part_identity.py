"""What a dataset or an encoder brings to rows: its class, its options, and the files they name."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorafw.contracts.component import Component

_LONGEST_PATH = 4096


def file_identity(path: Path) -> str:
    """A file's content, and the ending that says how to read it; not its name, place or time."""
    with path.open("rb") as file:
        return f"{path.suffix.lower()} {hashlib.file_digest(file, 'sha256').hexdigest()}"


def dataset_identity(dataset: Component, origins: Sequence[Path]) -> dict[str, Any]:
    """Class, options and the content of all files; options that lead to files count as these.

    Args:
        dataset: where rows come from.
        origins: the files it reads.
    """
    contents = {path.resolve(): file_identity(path) for path in origins}
    return {
        **_identity(dataset, lambda value: _origins_at(value, contents)),
        "files": [contents[path.resolve()] for path in origins],
    }


def encoder_identity(encoder: Component) -> dict[str, Any]:
    """Class and options; one that names a file, such as a template's, counts as its content."""
    return _identity(encoder, _file_at)


def _identity(part: Component, read: Callable[[str], Any]) -> dict[str, Any]:
    kind, options = type(part), part.model_dump(mode="json")
    return {
        "class": f"{kind.__module__}:{kind.__qualname__}",
        "options": {name: _replaced(value, read) for name, value in options.items()},
    }


def _replaced(value: Any, read: Callable[[str], Any]) -> Any:
    """The option's value; texts that lead to files as `read` has them."""
    if isinstance(value, Mapping):
        return {str(key): _replaced(inner, read) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(inner, read) for inner in value]
    if isinstance(value, str) and 0 < len(value) < _LONGEST_PATH and "\0" not in value:
        return read(value)
    return value


def _file_at(value: str) -> Any:
    path = Path(value)
    return {"file": file_identity(path)} if path.suffix and _is_file(path) else value


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a text too long for a name
        return False


def _origins_at(value: str, contents: Mapping[Path, str]) -> Any:
    """The files a text leads to; the text itself if it leads to none of those that are read."""
    place = Path(value).resolve()
    if place in contents:
        return {"file": contents[place]}
    if inside := dict(_inside(place, contents)):
        return {"folder": inside}
    if glob.has_magic(value):
        found = [Path(path).resolve() for path in _matches(value)]
        if matched := [contents[path] for path in found if path in contents]:
            return {"pattern": matched}
    return value


def _matches(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - it may be absolute


def _inside(folder: Path, contents: Mapping[Path, str]) -> Iterator[tuple[str, str]]:
    """Files by their names in a folder, for a dataset may go by these."""
    for path, content in contents.items():
        if path.is_relative_to(folder):
            yield path.relative_to(folder).as_posix(), content
