"""YAML comes in with line numbers and goes out so that it reads back the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lorafw.assembly.yaml_source import dump_yaml, parse_value, parse_yaml, read_yaml
from lorafw.errors import ConfigError


def fault(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-4", 2e-4),
        ("1E3", 1000.0),
        ("-.5", -0.5),
        ("1.", 1.0),
        (".inf", float("inf")),
        ("12", 12),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("true", True),
        ("no", "no"),
        ("on", "on"),
        ("2026-11-22", "2026-11-22"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("~", None),
        ("", None),
        ("[a, 1]", ["a", 1]),
        ("{a: 1}", {"a": 1}),
        ("'2e-4'", "2e-4"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = parse_value(text, "-o x")
    assert (found, type(found)) == (value, type(value))


def test_every_key_knows_its_line() -> None:
    text = "a: 1\nb:\n  c: 2\n  d:\n    - x\n    - e: 3\n"
    lines = parse_yaml(text, "f.yaml").lines
    assert lines == {"a": 1, "b": 2, "b.c": 3, "b.d": 4, "b.d.0": 5, "b.d.1": 6, "b.d.1.e": 6}


def test_merged_keys_lie_where_they_were_written() -> None:
    text = "a: &base\n  x: 1\n  y: 2\nb:\n  <<: *base\n  y: 3\n"
    source = parse_yaml(text, "f.yaml")
    assert source.values["b"] == {"x": 1, "y": 3}
    assert (source.lines["b.x"], source.lines["b.y"]) == (2, 6)


def test_a_key_written_twice() -> None:
    assert fault("a:\n  x: 1\n  y: 2\n  x: 3\n") == (
        "f.yaml:4: a.x: is written twice, first on line 2."
    )


@pytest.mark.parametrize(
    "text", ["a: [1\n", "a: b: c\n", "a: !!python/object:x.y {}\n", "a: \t1\n@"]
)
def test_what_is_no_yaml_has_a_line(text: str) -> None:
    assert fault(text).startswith("f.yaml:")
    assert "not valid YAML" in fault(text)


def test_forms_that_are_no_config() -> None:
    assert fault("- a\n") == "f.yaml:1: a config is a mapping of sections, such as `run:`."
    assert fault("a: &x\n  b: *x\n") == "f.yaml:1: a.b: refers to itself."
    assert "not valid YAML" in fault("a: \x00")
    assert parse_yaml("# nothing\n", "f.yaml").values == {}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    missing, binary = tmp_path / "none.yaml", tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ConfigError) as caught:
        read_yaml(missing)
    assert str(caught.value) == f"{missing}: cannot be read: No such file or directory."
    with pytest.raises(ConfigError, match=r"is not UTF-8 text\."):
        read_yaml(binary)


letters = "abeEnoyXZ0123456789"
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(letters + " -+_.:,;#'\"&*!|>%@`~?={}[]<\\\n\täß")
    | st.sampled_from(["2e-4", "no", "010", "0o7", "1:30", "2026-11-22", "<<", "=", "null", "1_0"])
)
keys = st.text(letters, min_size=1)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=8
)


@given(st.dictionaries(keys, values))
def test_written_values_read_back_the_same(config: dict[str, Any]) -> None:
    text = dump_yaml(config)
    assert parse_yaml(text, "f.yaml").values == config


@given(st.dictionaries(keys, st.text(letters)))
def test_written_text_is_text_to_other_readers_too(config: dict[str, str]) -> None:
    assert yaml.safe_load(dump_yaml(config)) == config


def test_a_line_break_is_written_as_an_escape() -> None:
    assert dump_yaml({"separator": "\n"}) == 'separator: "\\n"\n'
