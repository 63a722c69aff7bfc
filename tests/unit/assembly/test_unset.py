"""Values that a config leaves for the user to set."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorafw.assembly.config import read_config
from lorafw.assembly.registry import Registry
from lorafw.assembly.unset import unset_keys
from lorafw.errors import ConfigError

CONFIG = """\
dataset: {use: jsonl, path: "???"}
model:
  use: llama
  path: ???   # your model
injector: {use: peft, target_modules: [q_proj, "???"]}
trainer: ddp
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(CONFIG)
    return path


def test_all_of_them_are_named_with_the_place_of_the_first(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(Registry(), path=path)
    assert str(caught.value) == (
        f"{path}:1: dataset.path and model.path and injector.target_modules.1 are left for you "
        "to set. Set: -o dataset.path=… -o model.path=… -o injector.target_modules.1=…"
    )


def test_what_is_set_later_counts(path: Path) -> None:
    given = ["dataset.path=rows.jsonl", "injector.target_modules=[v_proj]"]
    with pytest.raises(ConfigError, match=r"job.yaml:4: model.path is left for you to set\."):
        read_config(Registry(), path=path, overrides=given)
    config = read_config(Registry(), path=path, overrides=[*given, "model.path=base"])
    assert config.model.options == {"path": "base"}


def test_sections_that_are_not_needed_may_keep_theirs(path: Path) -> None:
    given = ["dataset.path=rows.jsonl", "model.path=base"]
    config = read_config(Registry(), path=path, overrides=given, needs=("dataset", "model"))
    assert config.dataset.options == {"path": "rows.jsonl"}


def test_a_text_with_question_marks_is_a_text() -> None:
    assert list(unset_keys({"a": {"b": "Really???", "c": ["????", "???"]}})) == ["a.c.1"]
