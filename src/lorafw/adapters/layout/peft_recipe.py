"""`lorafw.json`: what lorafw writes down beside a model that it made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lorafw.adapters.files.safe_files import write_json
from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RECIPE_FILE = "lorafw.json"
DIGEST = "adapter_sha256"
"""Key of the adapter's digest."""


def write_recipe(folder: Path, recipe: Mapping[str, Any]) -> Path:
    """Write down how to ask the model in this folder, as JSON."""
    write_json(folder / RECIPE_FILE, recipe)
    return folder / RECIPE_FILE


def read_recipe(folder: Path) -> Mapping[str, Any]:
    """How to ask the model in this folder; empty if something else than lorafw wrote it.

    Raises:
        AdapterError: the file is no JSON object.
    """
    path = folder / RECIPE_FILE
    if not path.exists():
        return {}
    return {key: value for key, value in read_object(path).items() if key != DIGEST}


def noted_digest(folder: Path) -> object:
    """The digest of the adapter as it was written; None if it is not noted down."""
    path = folder / RECIPE_FILE
    return read_object(path).get(DIGEST) if path.exists() else None


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object of an adapter's folder.

    Raises:
        AdapterError: the file cannot be read, or is no JSON object.
    """
    mend = "Fetch or export the adapter again."
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise AdapterError(f"cannot be read: {error.strerror}.", where=str(path)) from None
    except (ValueError, RecursionError) as error:
        raise AdapterError(f"is no JSON: {error}.", where=str(path), mend=mend) from None
    if not isinstance(content, dict):
        raise AdapterError("is no JSON object.", where=str(path), mend=mend)
    return content
