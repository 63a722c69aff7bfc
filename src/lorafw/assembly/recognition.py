"""Which installed model reads the files at a path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from lorafw.assembly.registry import Registry
from lorafw.errors import ModelError, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorafw.contracts.model import ModelBuilder

_LAST = "auto"
"""Takes any folder of transformers, so families of their own are asked before it."""

_FAMILIES = {"chatglm": "glm", "minimind": "minimind", ".pth": "minimind"}
"""Models that `auto` cannot read: by model type, or by the ending of a file."""


def usual_model(model_type: str) -> str:
    """The model that is taken for a model type, or an ending, when nobody names one."""
    return _FAMILIES.get(model_type, _LAST)


def recognise(registry: Registry, path: Path, model_type: str) -> tuple[str, type[ModelBuilder]]:
    """The name and class of the model that reads a path.

    Args:
        registry: where the installed models are.
        path: a folder or a file.
        model_type: what the folder's `config.json` says, or the ending of a file.

    Raises:
        PluginError: the model that reads it is not installed, or one that is does not import.
        ModelError: no model reads it.
    """
    broken: list[PluginError] = []
    for name, model in _asked(registry, broken):
        if model.recognises(path) and (name != _LAST or model_type not in _FAMILIES):
            return name, model
    if model_type in _FAMILIES:
        registry.find("model", _FAMILIES[model_type])  # which says how to install it
    if broken:
        raise broken[0]
    mend = "Known: folders with a config.json, and what model plugins read."
    raise ModelError("no installed model reads this.", where=str(path), mend=mend)


def _asked(
    registry: Registry, broken: list[PluginError]
) -> Iterator[tuple[str, type[ModelBuilder]]]:
    """The models in the order they are asked; what does not import is put aside."""
    for name in sorted(registry.names("model"), key=lambda each: each == _LAST):
        try:
            model = registry.load("model", name)
        except PluginError as error:
            broken.append(error)
        else:
            yield name, cast("type[ModelBuilder]", model)
