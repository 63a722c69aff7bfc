"""YAML text as plain values, with the line of every key; and plain values as YAML text.

Scalars are read by the core schema of YAML 1.2: `2e-4` is a number, `no` and `2026-11-22` are
text. Written text is quoted so that readers of YAML 1.1 agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lorafw.errors import ConfigError

_NUMBER_STARTS = list("-+.0123456789")
_FLOAT = re.compile(
    r"[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$"
)
_INTEGER = re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Source:
    """What a config file says.

    Attributes:
        name: the file's name, as given.
        values: its top-level mapping, as plain values.
        lines: line number by dotted key, `exporters.0.use` for lists.
    """

    name: str
    values: Mapping[str, Any]
    lines: Mapping[str, int]


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own way to say it


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """One line of a file for one value: a line break is written as an escape."""
    style = '"' if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _plain_integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _resolve(tag: str, pattern: re.Pattern[str], first: list[str]) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", pattern, first)


_resolve("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_resolve("null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_resolve("int", _INTEGER, _NUMBER_STARTS)
_resolve("float", _FLOAT, _NUMBER_STARTS)
_resolve("merge", re.compile(r"<<$"), ["<"])
_Loader.add_constructor("tag:yaml.org,2002:int", _plain_integer)
_Dumper.add_representer(str, _text)
# Text such as 2e-4 or 0o7 is plain to YAML 1.1 but a number to `_Loader`: it must be quoted.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, _NUMBER_STARTS)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, _NUMBER_STARTS)


def read_yaml(path: Path) -> Source:
    """Read a config file.

    Raises:
        ConfigError: it is missing, not text, not YAML, or a key is written twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"cannot be read: {reason}.", where=str(path)) from None
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text.", where=str(path)) from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> Source:
    """Read the text of a config file; `name` stands for it in errors.

    Raises:
        ConfigError: it is not YAML, no mapping, or a key is written twice.
    """
    values, lines = _parse(text, name)
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError("a config is a mapping of sections, such as `run:`.", where=f"{name}:1")
    return Source(name, values, lines)


def parse_value(text: str, where: str) -> Any:
    """Read one value, as written on the command line.

    Raises:
        ConfigError: it is not YAML.
    """
    try:
        return _parse(text, where)[0]
    except ConfigError as error:
        error.where = where  # one value has no lines worth telling
        raise


def dump_yaml(values: Mapping[str, Any]) -> str:
    """Plain values as YAML text that `parse_yaml` reads back the same."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _parse(text: str, name: str) -> tuple[Any, dict[str, int]]:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, {}
        lines = dict(_lines(node, "", name, ()))
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"not valid YAML: {error.problem}.", where=f"{name}{line}") from None
    except yaml.YAMLError as error:
        fault = str(error).partition("\n")[0]
        raise ConfigError(f"not valid YAML: {fault}.", where=name) from None
    except ValueError as error:  # a constructor refuses a tagged value, as in `!!int abc`
        raise ConfigError(f"not valid YAML: {error}.", where=name) from None


def _lines(
    node: yaml.Node, key: str, name: str, inside: tuple[yaml.Node, ...]
) -> Iterator[tuple[str, int]]:
    if node in inside:
        raise ConfigError("refers to itself.", where=f"{name}:{_line(node)}: {key}")
    inside = (*inside, node)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield _join(key, str(index)), _line(item)
            yield from _lines(item, _join(key, str(index)), name, inside)
    elif isinstance(node, yaml.MappingNode):
        yield from _mapping_lines(node, key, name, inside)


def _mapping_lines(
    node: yaml.MappingNode, key: str, name: str, inside: tuple[yaml.Node, ...]
) -> Iterator[tuple[str, int]]:
    first: dict[str, int] = {}
    for key_node, value in node.value:
        if key_node.tag == _MERGE:
            yield from _lines(value, key, name, inside)
            continue
        word = str(key_node.value)
        full = _join(key, word)
        if word in first:
            fault = f"is written twice, first on line {first[word]}."
            raise ConfigError(fault, where=f"{name}:{_line(key_node)}: {full}")
        first[word] = _line(key_node)
        yield full, first[word]
        yield from _lines(value, full, name, inside)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _join(key: str, word: str) -> str:
    return f"{key}.{word}" if key else word
