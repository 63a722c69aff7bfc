"""Files and folders that appear under their final name only when they are whole and on disk."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

T = TypeVar("T")


def publish(build: Callable[[Path], T], final: Path) -> T:
    """Build a folder beside `final`, and rename it to `final` once it is whole and on disk.

    A folder that is there already stays until the new one is complete. Should the process die
    between the two renames, the old folder lies beside `final`, under a name with a dot in front.

    Args:
        build: fills the empty folder it is given. Paths it returns lie in that folder; take them
            relative to it if they are needed afterwards.
        final: where the folder shall appear; its parent is created if need be.

    Returns:
        What `build` returned.

    Raises:
        FileExistsError: a file is where the folder shall appear; it is left alone.
        Exception: whatever `build` raises; the half-built folder is removed first.
    """
    with staged(final) as fresh:
        result = build(fresh)
        put_in_place(fresh, final)
    return result


@contextlib.contextmanager
def staged(final: Path) -> Iterator[Path]:
    """An empty folder beside `final`, for `put_in_place`; what is left of it in the end goes.

    Raises:
        FileExistsError: a file is where the folder shall appear; it is left alone.
    """
    if final.is_file():
        raise FileExistsError(errno.EEXIST, "a file is in the way", str(final))
    final.parent.mkdir(parents=True, exist_ok=True)
    fresh = _sibling(final, "new")
    fresh.mkdir()
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def put_in_place(fresh: Path, final: Path) -> None:
    """Rename a folder to `final` once all in it is on disk; what stood there goes."""
    sync_tree(fresh)
    _put_in_place(fresh, final)


def _put_in_place(fresh: Path, final: Path) -> None:
    """Rename `fresh` to `final`; what stood there comes back if that fails."""
    if not final.exists():
        fresh.rename(final)
        sync_folder(final.parent)
        return
    old = _sibling(final, "old")
    final.rename(old)
    try:
        fresh.rename(final)
    except OSError:
        old.rename(final)
        raise
    sync_folder(final.parent)
    shutil.rmtree(old)


def _sibling(final: Path, kind: str) -> Path:
    return final.with_name(f".{final.name}.{kind}-{secrets.token_hex(4)}")


def replace_text(path: Path, text: str) -> None:
    """Put a text file in the place of the one before in one move: either is whole.

    Raises:
        OSError: it cannot be written; the one before is as it was.
    """
    fresh = path.with_name(f"{path.name}.tmp")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder that is never seen half-removed: it loses its name first."""
    going = _sibling(folder, "old")
    folder.rename(going)
    sync_folder(folder.parent)
    shutil.rmtree(going)


def clear_unfinished(parent: Path, prefix: str) -> None:
    """Remove what a process left that died in `publish`, `write_bytes` or `remove_folder`.

    Args:
        parent: the folder to clear.
        prefix: how the final names begin.
    """
    unfinished = re.compile(rf"\.{re.escape(prefix)}.*\.(new|old)-[0-9a-f]{{8}}")
    for left in parent.iterdir():
        if unfinished.fullmatch(left.name):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def clear_drafts(final: Path) -> None:
    """Remove what a process left that died while it made this one folder.

    What the folder was before is kept as long as nothing has taken its place.
    """
    kinds = "new|old" if final.exists() else "new"
    unfinished = re.compile(rf"\.{re.escape(final.name)}\.({kinds})-[0-9a-f]{{8}}")
    for left in final.parent.iterdir() if final.parent.is_dir() else ():
        if left.is_dir() and unfinished.fullmatch(left.name):
            shutil.rmtree(left)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, wait until it is on disk, and rename it."""
    temporary = _sibling(path, "new")
    try:
        temporary.write_bytes(content)
        sync_file(temporary)
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object as `write_bytes` does."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    write_bytes(path, (text + "\n").encode())


def sync_file(path: Path) -> None:
    """Wait until a file's content is on disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until a folder's list of names is on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until everything in a folder is on disk, from the leaves up."""
    for path in folder.iterdir():
        if path.is_symlink():
            continue
        (sync_tree if path.is_dir() else sync_file)(path)
    sync_folder(folder)
