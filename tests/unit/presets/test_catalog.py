"""Presets by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorafw.assembly.config import read_config
from lorafw.assembly.registry import Registry
from lorafw.errors import ConfigError, UsageError
from lorafw.presets.catalog import preset_name, preset_names, preset_purpose, preset_text


def test_every_preset_says_in_its_first_line_what_it_is_for() -> None:
    for name in preset_names():
        assert preset_text(name).startswith("# ")
        assert 20 <= len(preset_purpose(name)) <= 90


def test_an_unknown_name_gets_a_hint() -> None:
    with pytest.raises(UsageError) as caught:
        preset_text("gsm9k")
    assert str(caught.value) == "there is no preset 'gsm9k'. Did you mean 'gsm8k'?"
    with pytest.raises(UsageError, match=r"Presets: accelerate, code-feedback, "):
        preset_text("../lorafw")


def test_a_preset_is_named_where_a_file_could_be() -> None:
    assert preset_name(Path("preset:trace")) == "trace"
    assert preset_name(Path("presets/trace.yaml")) is None


def test_an_error_in_a_preset_tells_its_line() -> None:
    with pytest.raises(ConfigError, match=r"^preset:trace:\d+: dataset.path .* -o dataset.path=…"):
        read_config(Registry(), path=Path("preset:trace"))


def test_a_preset_that_is_not_there_is_no_missing_file() -> None:
    with pytest.raises(UsageError, match="there is no preset 'x'"):
        read_config(Registry(), path=Path("preset:x"))
