"""The options of a part in words: type, range, default, description."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass
from typing import Any, cast

from lorafw.contracts.component import Options

LIMITS = {
    "minimum": ">= {}",
    "exclusiveMinimum": "> {}",
    "maximum": "<= {}",
    "exclusiveMaximum": "< {}",
    "minLength": "length >= {}",
    "maxLength": "length <= {}",
    "minItems": "items >= {}",
    "maxItems": "items <= {}",
    "pattern": "matches {}",
}
"""How the limits of JSON Schema read."""


@dataclass(frozen=True, slots=True)
class OptionRow:
    """One option of a part.

    Attributes:
        type: type and range in words, such as `integer >= 1`.
        default: a JSON value; meaningless when `required`.
    """

    name: str
    type: str
    required: bool
    default: Any
    description: str

    @property
    def shown_default(self) -> str:
        """The default as one would write it in a config."""
        if self.required:
            return "required"
        return "null" if self.default is None else _flow(self.default)

    def as_json(self) -> dict[str, Any]:
        """The row as plain JSON values."""
        return asdict(self)


def option_rows(part: type[Options]) -> list[OptionRow]:
    """The options of a part, in the order they are declared."""
    schema = part.model_json_schema()
    definitions = schema.get("$defs", {})
    required = schema.get("required", ())
    return [
        OptionRow(
            name,
            _type(field, definitions),
            name in required,
            field.get("default", _made_default(part, name)),
            field.get("description", ""),
        )
        for name, field in schema.get("properties", {}).items()
    ]


def _made_default(part: type[Options], name: str) -> Any:
    """What a default factory makes, which JSON Schema does not tell."""
    factory = part.model_fields[name].default_factory
    return (
        None if factory is None else part.model_fields[name].get_default(call_default_factory=True)
    )


def documentation(part: type[Options]) -> str:
    """The docstring of a part."""
    return inspect.getdoc(part) or ""


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if reference := field.get("$ref"):
        return _type(definitions[reference.rpartition("/")[2]], definitions)
    if choices := field.get("anyOf"):
        return " or ".join(_type(choice, definitions) for choice in choices)
    if "const" in field:
        return _flow(field["const"])
    if "enum" in field:
        return " | ".join(_flow(value) for value in field["enum"])
    limits = [words.format(field[key]) for key, words in LIMITS.items() if key in field]
    return " ".join([_name(field, definitions), *_joined(limits)])


def _joined(limits: list[str]) -> list[str]:
    return [", ".join(limits)] if limits else []


def _name(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    name = cast("str", field.get("type", "any"))
    items = field.get("items") or field.get("additionalProperties")
    if name in {"array", "object"} and isinstance(items, dict):
        return f"{name} of {_type(items, definitions)}"
    return name


def _flow(value: Any) -> str:
    import json

    plain = isinstance(value, str) and value == value.strip() != ""
    return value if plain else json.dumps(value)
