"""What lies at a path: a run, an adapter, a merged model or a base model, and how to ask it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorafw.assembly.adapter_formats import foreign_format
from lorafw.assembly.recognition import recognise, usual_model
from lorafw.assembly.registry import Registry
from lorafw.errors import AdapterError, UsageError
from lorafw.models import folder as folders
from lorafw.types import Task

if TYPE_CHECKING:
    from collections.abc import Mapping

ADAPTER = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Place:
    """A model on disk.

    Attributes:
        model: the base's builder, as the config section of a run: `use` and its options.
        encoder: the same of the encoder; None for the builder's default.
        adapter: the adapter's folder, or file; None for a whole model.
        injector: name of the injector the adapter was made with; empty if unknown.
        base: content identity the base must have; empty if unknown.
        seed: of a base with random weights.
        merged: an adapter was folded into the weights.
        task: what the model is for.
        labels: names of its classes; empty to take those of the model's own files.
        tokenizer: hash of the tokenizer the adapter was trained with; empty if unknown.
        template: hash of the template its rows were rendered by; empty if unknown.
    """

    model: Mapping[str, Any]
    encoder: Mapping[str, Any] | None = None
    adapter: Path | None = None
    injector: str = ""
    base: str = ""
    seed: int = 0
    merged: bool = False
    task: Task = Task.CAUSAL_LM
    labels: tuple[str, ...] = ()
    tokenizer: str = ""
    template: str = ""


def find(
    path: str | Path,
    *,
    base: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Place:
    """Say what lies at a path.

    Args:
        path: the folder of a run, of an adapter, of a merged or of a base model; `lorafw:demo`, or
            a hub id; or the one file that a model or an adapter is in, such as MiniMind's `.pth`.
        base: where the adapter's base model is, if not where it was.
        options: of the base's builder, besides those that are written down.

    Raises:
        AdapterError: a run without a model, or a recipe that is none.
        ModelError: there is nothing at the path, or nothing known.
        UsageError: a base is named for a model that is whole.
    """
    file = Path(path).expanduser()
    place = _in_file(file, base) if file.is_file() else _in_folder(path, base)
    if base is not None and place.adapter is None:
        raise UsageError("is a whole model, which has no base.", where=str(path))
    return replace(place, model={**place.model, **options}) if options else place


def _in_folder(path: str | Path, base: str | Path | None) -> Place:
    folder = _exported(folders.resolve(str(path)))
    recipe = _recipe(folder)
    if (folder / ADAPTER).is_file():
        return _adapter(folder, recipe, base)
    folders.model_type(folder)
    return _whole(folder, recipe, str(path))


def _in_file(file: Path, base: str | Path | None) -> Place:
    registry = Registry()
    if foreign_format(registry, file) is None:
        name, _ = recognise(registry, file, file.suffix)
        return Place({"use": name, "path": str(file)})
    if base is None:
        mend = "Say where it is: base=… (--base)"
        raise AdapterError("does not name its base model.", where=str(file), mend=mend)
    return Place(_named_base(base), adapter=file)


def _exported(folder: Path) -> Path:
    """The folder of the model in the folder of a run; any other folder itself."""
    if not (folder / "run.yaml").is_file():
        return folder
    for name, file in (("adapter", ADAPTER), ("merged", "config.json")):
        if (folder / name / file).is_file():
            return folder / name
    mend = "Finish it with --resume, or give its run an exporter."
    raise AdapterError("this run has exported no model.", where=str(folder), mend=mend)


def _recipe(folder: Path) -> Mapping[str, Any]:
    from lorafw.adapters.layout.peft_layout import RECIPE_FILE, read_recipe

    recipe = read_recipe(folder)
    for part in ("model", "encoder", "injector"):
        section = recipe.get(part, {"use": ""})
        if not isinstance(section, dict) or not isinstance(section.get("use"), str):
            where = f"{folder / RECIPE_FILE}: {part}"
            raise AdapterError("should be an object with 'use'.", where=where)
    labels = recipe.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        where = f"{folder / RECIPE_FILE}: labels"
        raise AdapterError("should be a list of names.", where=where)
    for key in ("base", "tokenizer", "template"):
        if not isinstance(recipe.get(key, ""), str):
            raise AdapterError("should be a text.", where=f"{folder / RECIPE_FILE}: {key}")
    return recipe


def _adapter(folder: Path, recipe: Mapping[str, Any], base: str | Path | None) -> Place:
    model = recipe.get("model") or _base_by_peft(folder, base)
    return Place(
        model={**model, "path": str(base)} if base is not None else model,
        encoder=recipe.get("encoder"),
        adapter=folder,
        injector=recipe.get("injector", {}).get("use", ""),
        base=recipe.get("base", ""),
        seed=recipe.get("seed", 0),
        task=_task_of_adapter(folder, recipe),
        labels=tuple(recipe.get("labels", ())),
        tokenizer=recipe.get("tokenizer", ""),
        template=recipe.get("template", ""),
    )


def _base_by_peft(folder: Path, base: str | Path | None) -> dict[str, Any]:
    """The base of an adapter that lorafw did not write, as PEFT notes it down."""
    path = base or folders.base_of_adapter(folder / ADAPTER)
    if not path:
        mend = "Say where it is: base=… (--base)"
        raise AdapterError("does not name its base model.", where=str(folder / ADAPTER), mend=mend)
    return _named_base(path)


def _named_base(path: str | Path) -> dict[str, Any]:
    return {"use": usual_model(_kind_of_base(Path(path).expanduser())), "path": str(path)}


def _kind_of_base(path: Path) -> str:
    """The model type of a folder, or the ending of a file; empty if neither is there."""
    if (path / "config.json").is_file():
        return folders.model_type(path)
    return path.suffix if path.is_file() else ""


def _whole(folder: Path, recipe: Mapping[str, Any], path: str) -> Place:
    made_by = recipe.get("model", {})
    model = {"use": made_by.get("use", "auto"), "path": str(folder) if recipe else path}
    if made_by.get("trust_remote_code"):
        model["trust_remote_code"] = True
    merged, task = recipe.get("merged", False), _task_of_model(folder)
    return Place(model, recipe.get("encoder"), merged=merged, task=task)


def _task_of_adapter(folder: Path, recipe: Mapping[str, Any]) -> Task:
    task_type = folders.read_json(folder / ADAPTER).get("task_type")
    classifies = bool(recipe.get("labels")) or task_type == "SEQ_CLS"
    return Task.CLASSIFICATION if classifies else Task.CAUSAL_LM


def _task_of_model(folder: Path) -> Task:
    names = folders.read_json(folder / "config.json").get("architectures") or ()
    classifies = any(str(name).endswith("ForSequenceClassification") for name in names)
    return Task.CLASSIFICATION if classifies else Task.CAUSAL_LM
