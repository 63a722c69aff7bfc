"""`lorafw plugins`: list, show, check."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from lorafw.cli.main import main

Lorafw = Callable[..., "subprocess.CompletedProcess[str]"]


def test_list_is_a_table_by_kind(lorafw: Lorafw, toys: Path) -> None:
    lines = lorafw("plugins", "list", path=[toys]).stdout.splitlines()
    assert lines[0].split() == ["KIND", "NAME", "DISTRIBUTION", "SUMMARY"]
    [other] = [line for line in lines if line.split()[:2] == ["trainer", "other"]]
    assert other.split(maxsplit=4)[2:] == ["toy-parts", "1.0", "Shares one option with `toy`."]
    [single] = [line for line in lines if " single " in line]
    assert single.startswith("scenario ")


def test_list_as_json(lorafw: Lorafw, toys: Path) -> None:
    found = json.loads(lorafw("plugins", "list", "--json", path=[toys]).stdout)
    assert {
        "kind": "trainer",
        "name": "other",
        "value": "toy_parts:OtherTrainer",
        "distribution": "toy-parts",
        "version": "1.0",
        "summary": "Shares one option with `toy`.",
    } in found


def test_show_is_the_docstring_and_the_options(lorafw: Lorafw, toys: Path) -> None:
    lines = lorafw("plugins", "show", "injector", "toy", path=[toys]).stdout.splitlines()
    assert lines[0] == "injector 'toy' (toy-parts 1.0, toy_parts:ToyInjector)"
    assert lines[2] == "Able to do what `can` lists."
    assert lines[4].split() == ["OPTION", "TYPE", "DEFAULT", "DESCRIPTION"]
    assert [part.strip() for part in lines[6].split("  ") if part] == [
        *("r", "integer >= 1", "8", "Rank."),
    ]
    [rates] = [line for line in lines if line.startswith("rates")]
    assert "object of number" in rates
    model = lorafw("plugins", "show", "model", "toy", path=[toys]).stdout
    assert "required" in model.splitlines()[-1]


def test_show_as_json(lorafw: Lorafw, toys: Path) -> None:
    found = json.loads(lorafw("plugins", "show", "trainer", "other", "--json", path=[toys]).stdout)
    assert found["doc"] == "Shares one option with `toy`."
    assert found["options"] == [
        {
            "name": "timeout",
            "type": "number > 0",
            "required": False,
            "default": 30.0,
            "description": "Minutes to wait.",
        }
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trainer", "oter"], "Error: no trainer is called 'oter'. Did you mean 'other'?\n"),
        (["trainers", "x"], "Error: there is no kind of part called 'trainers'. Did you mean"),
    ],
)
def test_show_what_is_not_there(
    lorafw: Lorafw, toys: Path, arguments: list[str], told: str
) -> None:
    found = lorafw("plugins", "show", *arguments, path=[toys])
    assert found.returncode == 2
    assert found.stderr.startswith(told)


def test_check_builds_the_part_and_hands_it_to_the_kit(
    monkeypatch: pytest.MonkeyPatch, toys: Path
) -> None:
    def fake(kind: str, component: Any, report: Callable[[str, str, str], None]) -> bool:
        report(f"{kind} {component.r} {component.rates}", "ok", "")
        report("it is good", "failed", "it is not")
        return False

    kit = ModuleType("lorafw.testing.check")
    kit.check = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lorafw.testing.check", kit)
    monkeypatch.setattr("lorafw.testing.check", kit, raising=False)
    monkeypatch.syspath_prepend(toys)
    options = ["-o", "r=3", "-o", "rates={q: 1e-2}"]
    found = CliRunner().invoke(main, ["plugins", "check", "injector", "toy", *options])
    assert found.stdout == (
        "ok            injector 3 {'q': 0.01}\nfailed        it is good: it is not\n"
    )
    assert found.exit_code == 1
    assert found.stderr == "Error: injector 'toy' does not keep what its contract promises.\n"
    wrong = CliRunner().invoke(main, ["plugins", "check", "injector", "toy", "-o", "r=0"])
    assert (wrong.exit_code, wrong.stderr.partition(":")[0]) == (2, "Error")
