from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from benchmarks.job import Outcome
from benchmarks.step_report import Report
from rich.console import Console
from rich.table import Table
from tests.unit.benchmarks.jobs import small_job

FAST = Outcome(1000, 1.0, 2.0, 10, [3.0, 2.0])
SLOW = Outcome(1000, 2.0, 2.0, 12, [3.0, 2.0])
OUTCOMES = {
    "lorafw-custom": [FAST, SLOW],
    "hf-trainer": [Outcome(1000, 9.0, 18.0, 40, [3.0, 7.0])],
    "floor": [Outcome(1000, 0.5, 1.0, 5)],
}


def _report(outcomes: dict[str, list[Outcome]] = OUTCOMES, shape: str = "smollm2-135m") -> Report:
    return Report(outcomes, small_job(shape=shape), "Title")


def _told(table: Table) -> str:
    output = io.StringIO()
    Console(file=output, width=200).print(table)
    return output.getvalue()


def test_the_table_has_shares_of_the_floor_and_no_losses_where_nothing_trains() -> None:
    told = _told(_report().table())
    assert "38%" in told  # 750 of 2000 tokens/s
    floor = next(line for line in told.splitlines() if "GEMM floor" in line)
    assert [cell.strip() for cell in floor.strip("│").split("│")][-2:] == ["-", "-"]


def test_all_losses_of_all_runs_are_shown() -> None:
    told = _told(_report().losses())
    assert told.count("lorafw-custom, round") == 2
    assert "rows in other steps" in told
    assert "floor" not in told


def test_last_losses_of_other_steps_are_not_compared() -> None:
    assert [agree for agree, _ in _report().verdicts()] == [True, True]
    other = {**OUTCOMES, "trl": [Outcome(1000, 1.0, 1.0, 1, [3.0, 2.1])]}
    assert [agree for agree, _ in _report(other).verdicts()] == [True, False]


@pytest.mark.parametrize(("shape", "told"), [("smollm2-135m", 3), ("llama-1b-wide", 1)])
def test_what_can_be_demanded_is(shape: str, told: int) -> None:
    assert len(_report(shape=shape).demands()) == told
    assert _report({"floor": OUTCOMES["floor"]}, shape=shape).demands() == []


def test_runs_and_medians_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.step_report.PACKAGES", ("lorafw",))
    _report().write(tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert written["conditions"]["shape"] == "smollm2-135m"
    assert written["contestants"]["floor"]["first_loss"] is None
    assert len(written["contestants"]["lorafw-custom"]["rounds"]) == 2


def test_the_floor_tells_its_work_and_its_speed() -> None:
    assert "GFLOP for each token" in _report().floor()
    assert _report({"hf-trainer": OUTCOMES["hf-trainer"]}).floor() == ""
