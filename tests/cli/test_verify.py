"""`lorafw verify`: its flags, what it asks for, what it prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from lorafw.cli.main import main
from lorafw.cli.run import run
from lorafw.cli.verify import verify
from lorafw.verification import verify as module
from lorafw.verification.comparison import skipped
from lorafw.verification.limits import Limit
from lorafw.verification.report import Report, Row, Verdict
from lorafw.verification.verify import Request


def report(verdict: Verdict, reason: str = "") -> Report:
    row = Row("ddp", 2, "custom", "padded", 60, {"adapter": 1.5e-7}, verdict, reason)
    limits = {"adapter": Limit(5e-6, "what fp32 allows")}
    rows = [row, skipped("other", "it is not there.")]
    return Report("ddp on 1 rank", "fp32", 3, rows, limits, ["injector.dropout: 0 here."])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, toys: Path, config: Path) -> list[Any]:
    """What was asked for, and at its head the report to give."""
    found: list[Any] = [report("holds")]

    def fake(config: Any, request: Request, **_: Any) -> Report:
        found.append((config, request))
        given: Report = found[0]
        return given

    monkeypatch.setattr(module, "verify", fake)
    monkeypatch.syspath_prepend(toys)
    monkeypatch.chdir(config.parent)
    return found


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["verify", *arguments], catch_exceptions=False)


def flags(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


def test_the_flags_are_frozen() -> None:
    own = {"--steps", "--ranks", "--against", "--budget", "--json"}
    assert flags(verify) - flags(run) == own
    assert {"--config", "-o", "--trainer", "--injector"} <= flags(verify)


def test_what_is_asked_for(asked: list[Any]) -> None:
    more = ("--budget", "60,1", "--against", "ddp", "--against", "x", "-o", "injector.r=5")
    found = invoke("--steps", "2", "--ranks", "2,1,2", *more)
    assert found.exit_code == 0, found.output
    config, request = asked[1]
    assert config.injector.options == {"r": 5}
    assert request == Request(2, (2, 1), ("ddp", "x"), (60, 1))


def test_by_default_all_there_is(asked: list[Any]) -> None:
    invoke()
    assert asked[1][1] == Request()


@pytest.mark.parametrize("ranks", ["0", "1,x", ""])
def test_numbers_are_numbers(asked: list[Any], ranks: str) -> None:
    found = invoke("--ranks", ranks)
    assert found.exit_code == 2
    assert "is not of the form 1,2." in found.output


def test_the_table(asked: list[Any]) -> None:
    lines = invoke().stdout.splitlines()
    assert lines[:2] == [
        "Reference: ddp on 1 rank; 3 steps, fp32 base.",
        "Random: injector.dropout: 0 here.",
    ]
    assert lines[3].split() == [
        *("TRAINER", "RANKS", "INJECTOR", "LAYOUT", "BUDGET", "ADAPTER", "VERDICT")
    ]
    assert lines[4].split() == ["ddp", "2", "custom", "padded", "60", "1.5e-07", "holds"]
    assert lines[5].split() == ["other", "-", "-", "-", "skipped:", "it", "is", "not", "there."]
    assert lines[-1] == "Holds: 1 holds, 0 differs, 0 failed, 1 skipped."


def test_json(asked: list[Any]) -> None:
    values = json.loads(invoke("--json").stdout)
    assert values["holds"] is True
    assert values["rows"][0]["differences"] == {"adapter": 1.5e-7}
    assert values["limits"]["adapter"] == {"value": 5e-6, "source": "what fp32 allows"}


def test_what_does_not_hold_is_exit_code_1(asked: list[Any]) -> None:
    asked[0] = report("differs", "gradient")
    found = invoke()
    assert found.exit_code == 1
    assert found.stderr == ("Error: 1 of 2 rows do not hold, first ddp on 2 ranks: gradient.\n")
    assert "Does not hold" in found.stdout
    asked[0] = report("skipped", "why")
    assert invoke().stderr == "Error: nothing could be compared.\n"
