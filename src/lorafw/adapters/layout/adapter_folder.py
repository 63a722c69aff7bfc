"""An adapter's folder as a whole: its state, and what its files say of base, task and tokenizer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorafw.adapters.files.safe_files import publish
from lorafw.adapters.layout.digest import adapter_digest
from lorafw.adapters.layout.peft_config import CONFIG_FILE
from lorafw.adapters.layout.peft_layout import read_adapter, write_adapter
from lorafw.adapters.layout.peft_recipe import read_recipe
from lorafw.errors import AdapterError, ExportError
from lorafw.types import Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lorafw.types import AdapterState

HISTORY = "history"
"""Key of a recipe: what was done to the adapter since it was trained, a list of JSON objects."""


@dataclass(frozen=True, slots=True)
class AdapterFolder:
    """An adapter on disk.

    Attributes:
        path: its folder.
        state: what it computes.
        recipe: what `lorafw.json` says; empty if another tool wrote it.
        config: what `adapter_config.json` says.
    """

    path: Path
    state: AdapterState
    recipe: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def base(self) -> str:
        """Content identity of its base; empty if unknown."""
        return str(self.recipe.get("base") or "")

    @property
    def base_path(self) -> str:
        """Where its base was when it was trained; empty if unknown."""
        noted = self.recipe.get("model")
        path = noted.get("path") if isinstance(noted, dict) else None
        return str(path or self.config.get("base_model_name_or_path") or "")

    @property
    def task(self) -> Task:
        """What its model is for."""
        classifies = self.config.get("task_type") == "SEQ_CLS"
        return Task.CLASSIFICATION if classifies else Task.CAUSAL_LM


def open_adapter(path: Path) -> AdapterFolder:
    """Read an adapter's folder, or the adapter that a run left in its folder.

    Raises:
        AdapterError: it is no adapter, or a damaged one.
    """
    exported = path / "adapter"
    if (path / "run.yaml").is_file() and exported.is_dir():
        path = exported
    state = read_adapter(path)
    config = json.loads((path / CONFIG_FILE).read_bytes())
    return AdapterFolder(path, state, read_recipe(path), config)


def same_base(one: AdapterFolder, other: AdapterFolder) -> bool | None:
    """Whether two adapters are of the same base: by its content, else by path; None if unknown."""
    if one.base and other.base:
        return one.base == other.base
    if one.base_path and one.base_path == other.base_path:
        return True
    return None


def refuse_unlike(folders: Sequence[AdapterFolder]) -> None:
    """Refuse adapters of different bases, tasks or classes.

    Raises:
        AdapterError: two differ.
    """
    first = folders[0]
    for other in folders[1:]:
        fault = f"has another {{}} than {first.path}."
        if same_base(first, other) is False:
            raise AdapterError(fault.format("base model"), where=str(other.path))
        if first.task != other.task or first.recipe.get("labels") != other.recipe.get("labels"):
            raise AdapterError(fault.format("task or other classes"), where=str(other.path))


def write_derived(
    final: Path,
    state: AdapterState,
    sources: Sequence[AdapterFolder],
    step: Mapping[str, Any],
) -> None:
    """Write an adapter that was made from others, whole or not at all, and read it back.

    Args:
        final: the folder to write; what is there is replaced.
        state: the adapter.
        sources: what it was made from; recipe, base and task are the first's.
        step: what was done, JSON values; with the sources' digests it becomes the last entry of
            the recipe's history.

    Raises:
        AdapterError: it cannot be written.
        ExportError: what was read back is not what was written.
    """
    made_of = [{"path": str(s.path), "sha256": adapter_digest(s.state)} for s in sources]
    step = {**step, "of": made_of}
    try:
        publish(lambda folder: _write(folder, state, sources[0], step), final.resolve())
    except OSError as error:
        fault = f"cannot be written: {error.strerror}."
        raise AdapterError(fault, where=str(final)) from None


def _write(
    folder: Path, state: AdapterState, source: AdapterFolder, step: Mapping[str, Any]
) -> None:
    past = source.recipe.get(HISTORY)
    history = [*(past if isinstance(past, list) else ()), step]
    write_adapter(
        folder,
        state,
        base_path=source.config.get("base_model_name_or_path"),
        recipe={**source.recipe, HISTORY: history},
        fan_in_fan_out=bool(source.config.get("fan_in_fan_out")),
        task=source.task,
    )
    if adapter_digest(read_adapter(folder)) != adapter_digest(state):
        fault = "the adapter read back is not the one written."
        raise ExportError(fault, where=str(folder))
