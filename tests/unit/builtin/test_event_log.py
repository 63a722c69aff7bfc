"""events.jsonl holds every event, whole lines of valid JSON, across resumed runs."""

from __future__ import annotations

import inspect
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lorafw.assembly.hooks import Announcer, Events
from lorafw.builtin.event_log import EventLog

VALUES: dict[str, Any] = {
    "int": 3,
    "float": 0.5,
    "str": "text",
    "bool": True,
    "float | None": None,
    "int | None": 4,
    "Path": Path("some/where"),
    "Mapping[str, float]": {"loss": 1.5},
    "Mapping[str, Any]": {"a": [1, Path("x")]},
}
EVENTS = {
    name: {
        argument: VALUES[str(parameter.annotation)]
        for argument, parameter in inspect.signature(event).parameters.items()
        if argument != "self"
    }
    for name, event in vars(Events).items()
    if not name.startswith("_")
}


def read(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line, parse_constant=pytest.fail) for line in lines]


def close(announce: Announcer) -> None:
    announce("run_failed", error="over")


def test_every_event_is_written_with_its_payload(tmp_path: Path) -> None:
    announce = Announcer([EventLog().open(tmp_path)])
    order = [name for name in EVENTS if name not in {"run_end", "run_failed"}] + ["run_end"]
    assert len(order) >= 9
    for name in order:
        announce(name, **EVENTS[name])
    rows = read(tmp_path)
    assert [row.pop("event") for row in rows] == order
    for row, name in zip(rows, order, strict=True):
        assert datetime.fromisoformat(row.pop("time")).tzinfo is not None
        assert row == json.loads(json.dumps(EVENTS[name], default=str))


def test_lines_are_there_at_once(tmp_path: Path) -> None:
    announce = Announcer([EventLog().open(tmp_path)])
    announce("notice", message="grüße")
    assert read(tmp_path)[0]["message"] == "grüße"
    close(announce)


def test_a_resumed_run_appends(tmp_path: Path) -> None:
    for message in ("first", "second"):
        announce = Announcer([EventLog().open(tmp_path)])
        announce("notice", message=message)
        close(announce)
    assert [row.get("message") for row in read(tmp_path)] == ["first", None, "second", None]


@pytest.mark.parametrize(("value", "word"), [(float("nan"), "nan"), (float("-inf"), "-inf")])
def test_numbers_without_a_word_in_json(tmp_path: Path, value: float, word: str) -> None:
    announce = Announcer([EventLog().open(tmp_path)])
    announce("evaluation_end", step=1, figures={"loss": value}, best=False)
    close(announce)
    assert read(tmp_path)[0]["figures"] == {"loss": word}
