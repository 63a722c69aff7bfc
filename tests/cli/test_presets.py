"""`lorafw presets`: list, show, and use."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from lorafw.cli.main import main
from lorafw.presets.catalog import preset_names, preset_purpose, preset_text

Lorafw = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_all_are_listed() -> None:
    heading, *rows = call("presets").stdout.splitlines()
    assert heading.split() == ["NAME", "WHAT", "FOR"]
    assert [row.split()[0] for row in rows] == preset_names()
    assert all(preset_purpose(row.split()[0]) in row for row in rows)


def test_one_is_shown_as_it_is() -> None:
    assert call("presets", "show", "trace").stdout == preset_text("trace")
    wrong = call("presets", "show", "trase")
    assert wrong.exit_code == 2
    assert wrong.stderr == "Error: there is no preset 'trase'. Did you mean 'trace'?\n"


def test_what_is_left_to_set_is_told_and_can_be_set(tmp_path: Path) -> None:
    unset = call("config", "show", "--config", "preset:deepspeed-zero3")
    assert unset.exit_code == 2
    assert unset.stderr.endswith(
        "dataset.path and model.path are left for you to set. "
        "Set: -o dataset.path=… -o model.path=…\n"
    )
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
    given = ["-o", "dataset.path=rows.jsonl", "-o", "model.path=lorafw:demo"]
    shown = call("config", "show", "--config", "preset:deepspeed-zero3", *given)
    assert shown.exit_code == 0, shown.stderr
    assert yaml.safe_load(shown.stdout)["trainer"]["zero_stage"] == 3


def test_one_can_be_started_from(tmp_path: Path) -> None:
    found = call("init", "--preset", "trace", "job")
    assert found.stdout == (
        "Wrote job/lorafw.yaml.\nSet what is ??? in it.\nStart with: cd job && lorafw run\n"
    )
    assert (tmp_path / "job" / "lorafw.yaml").read_text(encoding="utf-8") == preset_text("trace")
    again = call("init", "--preset", "trace", "job")
    assert (again.exit_code, "exists already" in again.stderr) == (2, True)
    whole = call("init", "--preset", "gsm8k")
    assert whole.stdout == "Wrote lorafw.yaml.\nStart with: lorafw run\n"
    assert call("init", "--preset", "none").exit_code == 2
