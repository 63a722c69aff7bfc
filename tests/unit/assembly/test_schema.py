"""The JSON Schema knows the installed parts, and a broken one does not spoil it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorafw.assembly.registry import Registry
from lorafw.assembly.schema import json_schema


@pytest.fixture
def schema(registry: Registry, write_plugin: Callable[..., Path]) -> dict[str, Any]:
    """The schema with the toy parts and one broken plugin."""
    write_plugin(
        "lorafw-third", {"trainers": "bad = bad_import_2:X"}, {"bad_import_2": "import x_x"}
    )
    found: dict[str, Any] = json.loads(json.dumps(json_schema(registry)))
    return found


def resolve(schema: dict[str, Any], reference: str) -> Any:
    found: Any = schema
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def uses(schema: dict[str, Any], forms: list[dict[str, Any]]) -> set[str]:
    objects = [resolve(schema, form["$ref"]) for form in forms if "$ref" in form]
    return {form["properties"]["use"]["const"] for form in objects}


def test_every_section_is_there(schema: dict[str, Any]) -> None:
    assert set(schema["properties"]) == {
        *("run", "dataset", "model", "injector", "trainer", "encoder", "objective", "scenario"),
        *("tasks", "plan", "exporters", "listeners", "versions"),
    }
    assert schema["required"] == ["model", "injector", "trainer"]
    assert schema["anyOf"] == [{"required": ["dataset"]}, {"required": ["tasks"]}]
    assert schema["additionalProperties"] is False


def test_a_section_is_one_of_the_parts(schema: dict[str, Any]) -> None:
    trainer = schema["properties"]["trainer"]
    assert {"toy", "other"} <= uses(schema, trainer["oneOf"])
    toy = schema["$defs"]["trainer.toy"]
    assert toy["properties"]["timeout"]["exclusiveMinimum"] == 0
    assert toy["additionalProperties"] is False
    assert toy["required"] == ["use"]


def test_a_bare_name_needs_a_part_without_required_options(schema: dict[str, Any]) -> None:
    names = {
        kind: {form.get("const") for form in schema["properties"][kind]["oneOf"]}
        for kind in ("trainer", "model")
    }
    assert "toy" in names["trainer"]
    assert "toy" not in names["model"]
    assert schema["$defs"]["model.toy"]["required"] == ["use", "path"]


def test_only_a_part_with_a_default_can_go_unnamed(schema: dict[str, Any]) -> None:
    unnamed = {
        kind: any("not" in form for form in schema["properties"][kind]["oneOf"])
        for kind in ("model", "trainer", "encoder", "objective", "scenario")
    }
    assert [kind for kind, can in unnamed.items() if can] == ["encoder", "objective", "scenario"]
    assert not any("not" in form for form in schema["properties"]["exporters"]["items"]["oneOf"])


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(schema)))
    assert "#/$defs/injector.toy/$defs/Capability" in references
    for reference in references:
        assert resolve(schema, reference)


def test_a_broken_part_is_left_out_with_a_note(schema: dict[str, Any]) -> None:
    trainer = schema["properties"]["trainer"]
    assert "bad" not in uses(schema, trainer["oneOf"])
    assert "trainer 'bad' from lorafw-third 1.0 failed to import" in trainer["description"]


def test_tasks_are_names_or_mappings_of_what_a_task_may_say(schema: dict[str, Any]) -> None:
    text, listed = schema["properties"]["tasks"]["anyOf"]
    bare, task = listed["items"]["anyOf"]
    assert text == bare == {"type": "string"}
    assert task["required"] == ["name"]
    assert set(task["properties"]) == {
        *("name", "dataset", "epochs", "encoder", "template", "metrics", "metric"),
        "max_new_tokens",
    }
    assert task["additionalProperties"] is False
    assert task["properties"]["dataset"]["anyOf"][0] == schema["properties"]["dataset"]


def test_epochs_may_be_listed_for_tasks(schema: dict[str, Any]) -> None:
    one, listed = schema["$defs"]["plan"]["properties"]["epochs"]["anyOf"]
    assert (one["type"], one["default"]) == ("integer", 1)
    assert listed["items"] == {"type": "integer", "minimum": 1}
