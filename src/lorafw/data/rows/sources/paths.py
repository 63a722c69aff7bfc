"""Files named one by one, in a list or by a pattern."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from lorafw.errors import ConfigError, DataError, did_you_mean


def _path_or_paths(value: Any) -> Any:
    several = isinstance(value, list | tuple)
    if not all(isinstance(each, str | Path) for each in (value if several else [value])):
        raise ValueError("must be a path or a list of paths")
    if several and not value:
        raise ValueError("must name at least one file")
    return value


Paths = Annotated[Path | tuple[Path, ...], BeforeValidator(_path_or_paths)]
"""An option that takes one path or pattern, or a list of them."""


def each_of(paths: Path | tuple[Path, ...]) -> tuple[Path, ...]:
    """The paths and patterns one by one."""
    return paths if isinstance(paths, tuple) else (paths,)


def name_of(paths: Path | tuple[Path, ...]) -> str:
    """What the files together are called in errors."""
    return ", ".join(map(str, each_of(paths)))


def files_of(paths: Path | tuple[Path, ...]) -> list[Path]:
    """The files that paths and patterns stand for, each once; those of a pattern by name.

    Raises:
        DataError: nothing matches a pattern.
    """
    found: list[Path] = []
    for path in each_of(paths):
        matches = _matches(path)
        if not matches:
            raise DataError("no file matches this pattern.", where=str(path))
        found += matches
    return list(dict.fromkeys(found))


def check_files(key: str, paths: Path | tuple[Path, ...]) -> None:
    """Check that all files are there.

    Raises:
        ConfigError: a path is not a file, or nothing matches a pattern.
    """
    for path in each_of(paths):
        matches = _matches(path)
        if not matches:
            raise ConfigError(f"no file matches {path}.", where=key)
        for match in matches:
            if not match.is_file():
                raise _no_file(key, match)


def check_suffixes(key: str, paths: Iterable[Path], known: Iterable[str]) -> None:
    """Check that the name of every file tells a known format.

    Raises:
        ConfigError: the name of one does not.
    """
    for path in paths:
        if path.suffix.lower() not in known:
            mend = f"Known: {', '.join(known)}."
            raise ConfigError(f"the name of {path} tells no known format.", where=key, mend=mend)


def _matches(path: Path) -> list[Path]:
    # A file may be called by a name that looks like a pattern.
    if not glob.has_magic(str(path)) or path.exists():
        return [path]
    matches = (Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207
    return sorted(match for match in matches if match.is_file())


def _no_file(key: str, path: Path) -> ConfigError:
    if path.is_dir():
        mend = f"Name its files, such as {path / '*.jsonl'}."
        return ConfigError(f"{path} is a folder, not a file.", where=key, mend=mend)
    beside = path.parent
    siblings = [each.name for each in beside.iterdir()] if beside.is_dir() else []
    mend = did_you_mean(path.name, siblings)
    return ConfigError(f"{path} does not exist.", where=key, mend=mend)
