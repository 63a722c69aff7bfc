"""The base model at a path, and the one an adapter is for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lorafw.assembly.recognition import recognise
from lorafw.contracts.adapter_format import AdapterBase
from lorafw.errors import AdapterError, LorafwError
from lorafw.models import folder as folders
from lorafw.types import Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorafw.assembly.registry import Registry
    from lorafw.contracts.model import ModelBuilder

_CONFIG = "adapter_config.json"


def find_builder(
    registry: Registry, path: str, options: Mapping[str, Any], model: str | None = None
) -> tuple[str, ModelBuilder, Path]:
    """The model that reads a path: its name, the builder, and where the path is on this machine.

    Args:
        registry: the installed parts.
        path: a folder, a file or a hub id.
        options: of the model, besides its path.
        model: its name; else the first that recognises the files.

    Raises:
        ModelError: no installed model reads it.
        PluginError: the model that does is not installed.
        ConfigError: an option is wrong.
    """
    place = Path(path).expanduser()
    is_file = place.is_file()
    place = place if is_file else folders.resolve(path)
    family = place.suffix if is_file else folders.model_type(place)
    if model is None:
        model, found = recognise(registry, place, family)
    else:
        found = cast("type[ModelBuilder]", registry.load("model", model))
    return model, found.from_mapping({"path": path, **options}, where="model"), place


def base_of(
    registry: Registry, adapter: Path, base: str | None, options: Mapping[str, Any]
) -> AdapterBase:
    """What is known of the base an adapter is for.

    Args:
        registry: the installed parts.
        adapter: its file or folder; a folder may say itself which base it is for.
        base: path of the base, if the user says so.
        options: of the base's model.

    Raises:
        LorafwError: what `find_builder` raises of a base that the user names. One that only the
            adapter names counts as unknown if it is not there.
    """
    from lorafw.adapters.layout.peft_layout import read_recipe

    recipe = dict(read_recipe(adapter)) if adapter.is_dir() else {}
    there = (adapter / _CONFIG).is_file()
    config = folders.read_json(adapter / _CONFIG) if there else {}
    classifies = bool(recipe.get("labels")) or config.get("task_type") == "SEQ_CLS"
    task = Task.CLASSIFICATION if classifies else Task.CAUSAL_LM
    if base is not None:
        name, builder, _ = find_builder(registry, base, options)
        recipe["model"] = {"use": name, "path": base, **options}
        return AdapterBase(builder, base, recipe, task)
    named = _noted(recipe, adapter) or (folders.base_of_adapter(adapter / _CONFIG) if there else "")
    return AdapterBase(_told(registry, recipe, named), named or None, recipe, task)


def _noted(recipe: Mapping[str, Any], adapter: Path) -> str:
    """Where a recipe says the base is; empty if it does not."""
    section = recipe.get("model", {})
    path = section.get("path") if isinstance(section, dict) else section
    if not isinstance(section, dict) or not isinstance(path, str | None):
        raise AdapterError("should be an object with a path.", where=f"{adapter}: model")
    return path or ""


def _told(registry: Registry, recipe: Mapping[str, Any], path: str) -> ModelBuilder | None:
    """The builder of the base an adapter names itself, if it is all there; nothing is fetched."""
    if path != folders.DEMO and not Path(path or "nowhere").expanduser().exists():
        return None
    try:
        section = dict(recipe.get("model", {}))
        if "use" not in section:
            builder = find_builder(registry, str(path), {})[1]
        else:
            kind = registry.load("model", section.pop("use"))
            builder = cast("ModelBuilder", kind.from_mapping(section, where="model"))
        builder.preflight()
    except LorafwError:
        return None
    return builder
