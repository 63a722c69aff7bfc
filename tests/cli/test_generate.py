"""`lorafw generate` loads what PATH holds and prints its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import lorafw
from lorafw.cli.main import main
from lorafw.errors import AdapterError


class Parrot:
    """Answers with what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def generate(self, prompt: str, **options: Any) -> str:
        return f"{self.path} {prompt} {options}"


def test_the_flags_reach_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lorafw, "load", Parrot, raising=False)
    flags = ["--max-new-tokens", "5", "--temperature", "0.5", "--seed", "3"]
    found = CliRunner().invoke(main, ["generate", "runs/x", "--prompt", "Hello?", *flags])
    options = {"max_new_tokens": 5, "temperature": 0.5, "seed": 3}
    assert (found.exit_code, found.stdout) == (0, f"runs/x Hello? {options}\n")


def test_a_fault_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise AdapterError("there is no adapter.", where=str(path))

    monkeypatch.setattr(lorafw, "load", refuse, raising=False)
    found = CliRunner().invoke(main, ["generate", "nowhere", "--prompt", "x"])
    assert (found.exit_code, found.stderr) == (1, "Error: nowhere: there is no adapter.\n")


@pytest.mark.parametrize(
    "flags", [[], ["--prompt", "x", "--temperature", "-1"], ["--prompt", "x", "--seed", "-1"]]
)
def test_flags_out_of_range(flags: list[str]) -> None:
    assert CliRunner().invoke(main, ["generate", "x", *flags]).exit_code == 2
