"""JSON Schema of a config with the plugins that are installed, for editors and other tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lorafw.assembly.draft import REQUIRED, SEVERAL, SINGLE, VERSIONS
from lorafw.assembly.registry import Registry
from lorafw.assembly.task_items import TASKS
from lorafw.contracts.component import Component, Options
from lorafw.contracts.plan import TrainPlan
from lorafw.errors import PluginError

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LAID_OVER = "Options laid over those of the run's dataset."
UNNAMED = "Options of the part that is taken when none is named."


def json_schema(registry: Registry) -> dict[str, Any]:
    """Schema of the whole config; a part that cannot be loaded is named in a description."""
    from lorafw.assembly.config import RunOptions

    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {
        "run": _section("run", RunOptions, definitions),
        "plan": _section("plan", TrainPlan, definitions),
        VERSIONS: {"type": "object", "description": "What the run was made with; ignored."},
    }
    for kind in SINGLE:
        properties[kind] = _one_of(registry, kind, definitions)
    for section, kind in SEVERAL.items():
        properties[section] = {"type": "array", "items": _one_of(registry, kind, definitions)}
    metric = _one_of(registry, "metric", definitions)
    properties[TASKS] = _tasks(properties["dataset"], properties["encoder"], metric)
    _let_tasks_have_epochs(definitions["plan"])
    return {
        "$schema": DIALECT,
        "title": "lorafw config",
        "type": "object",
        "properties": properties,
        "required": [kind for kind in REQUIRED if kind != "dataset"],
        "anyOf": [{"required": ["dataset"]}, {"required": [TASKS]}],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _tasks(dataset: Any, encoder: Any, metric: Any) -> dict[str, Any]:
    """A list of tasks, or their names with commas between."""
    several = {"description": "What it is judged by; the first is its own.", "type": "array"}
    metrics = {"anyOf": [metric, {**several, "items": metric}]}
    without_use = {"type": "object", "not": {"required": ["use"]}, "description": LAID_OVER}
    options = {
        "name": {"type": "string", "description": "Of its own in the run; a folder can have it."},
        "dataset": {"anyOf": [dataset, without_use]},
        "epochs": {"type": "integer", "minimum": 1, "description": "Passes over its rows."},
        "max_new_tokens": {
            "type": "integer",
            "minimum": 1,
            "description": "Longest answer that is judged.",
        },
        "encoder": encoder,
        "template": encoder,
        "metrics": metrics,
        "metric": metrics,
    }
    task = {
        "type": "object",
        "properties": options,
        "required": ["name"],
        "additionalProperties": False,
    }
    items = {"anyOf": [{"type": "string"}, task]}
    described = {"description": "What a scenario trains, one after another."}
    return {**described, "anyOf": [{"type": "string"}, {"type": "array", "items": items}]}


def _let_tasks_have_epochs(plan: dict[str, Any]) -> None:
    """A run with tasks may list the epochs of each."""
    one = plan["properties"]["epochs"]
    number = {"type": one["type"], "minimum": one["minimum"]}
    listed = {"type": "array", "items": number, "description": "One number for each task."}
    plan["properties"]["epochs"] = {"anyOf": [one, listed]}


def _one_of(registry: Registry, kind: str, definitions: dict[str, Any]) -> dict[str, Any]:
    forms: list[dict[str, Any]] = []
    broken: list[str] = []
    for name in registry.names(kind):
        try:
            part = registry.load(kind, name)
        except PluginError as error:
            broken.append(str(error))
        else:
            forms += _forms(kind, name, part, definitions)
    if kind in SINGLE and kind not in REQUIRED:
        forms.append({"type": "object", "not": {"required": ["use"]}, "description": UNNAMED})
    note = f" Left out: {'; '.join(broken)}" if broken else ""
    return {"description": f"Which {kind} to use, and its options.{note}", "oneOf": forms}


def _forms(
    kind: str, name: str, part: type[Component], definitions: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    reference = _section(f"{kind}.{name.replace('/', '.')}", part, definitions)
    schema = definitions[reference["$ref"].rpartition("/")[2]]
    schema["properties"] = {"use": {"const": name}, **schema.get("properties", {})}
    required = schema.get("required", [])
    schema["required"] = ["use", *required]
    schema["description"] = part.describe()
    yield reference
    if not required:
        yield {"const": name, "description": part.describe()}


def _section(key: str, options: type[Options], definitions: dict[str, Any]) -> dict[str, str]:
    definitions[key] = options.model_json_schema(ref_template=f"#/$defs/{key}/$defs/{{model}}")
    return {"$ref": f"#/$defs/{key}"}
