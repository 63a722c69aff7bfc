"""A rank's last words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorafw.errors import ConfigError, Interrupted, TrainingError
from lorafw.training.launching import worker
from lorafw.training.launching.contact import LostContact
from lorafw.training.launching.failure import Failure, read_report
from lorafw.training.launching.worker import failures_reported, handed_notices, in_rank


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As in rank 3 of a launch; nobody ends the process later."""
    path = tmp_path / "3.json"
    for name, value in {"RANK": "3", "WORLD_SIZE": "4", "LORAFW_WORKER": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(worker.REPORT, str(path))
    monkeypatch.delenv(worker.LAUNCHER, raising=False)
    monkeypatch.setattr(worker, "_end_after", lambda *_: None)
    return path


@pytest.mark.parametrize(
    ("error", "kind", "code", "usage"),
    [
        (TrainingError("no.", where="here"), "refused", 1, False),
        (ConfigError("no."), "refused", 2, True),
        (Interrupted("stopped."), "stopped", 143, False),
        (LostContact("gone."), "lost contact", 1, False),
        (RuntimeError("[pair.cc:1] Connection closed by peer"), "lost contact", 1, False),
        (ValueError("a\nb"), "crashed", 1, False),
    ],
)
def test_an_error_is_left_for_the_launcher(
    error: Exception, kind: str, code: int, usage: bool, report: Path
) -> None:
    with pytest.raises(SystemExit) as found, in_rank():
        raise error
    assert found.value.code == code
    left = read_report(report)
    assert left is not None
    assert (left.rank, left.kind, left.exit_code, left.usage) == (3, kind, code, usage)
    assert ("Traceback" in left.traceback) is (kind == "crashed")
    assert "\n" not in left.reason


def test_words_are_left_before_the_group_is(report: Path) -> None:
    found: list[Failure | None] = []

    def leave() -> None:
        try:
            with failures_reported():
                raise TrainingError("no.")
        finally:
            found.append(read_report(report))

    with pytest.raises(SystemExit), in_rank():
        leave()
    assert [failure and failure.reason for failure in found] == ["no."]


def test_elsewhere_errors_pass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LORAFW_WORKER", raising=False)
    monkeypatch.setenv(worker.REPORT, str(tmp_path / "0.json"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="oh"), in_rank():
        raise ValueError("oh")
    with pytest.raises(LostContact), in_rank():
        raise RuntimeError("Connection closed by peer")
    monkeypatch.setenv("WORLD_SIZE", "1")
    with pytest.raises(RuntimeError, match="closed"), in_rank():
        raise RuntimeError("Connection closed by peer")
    assert not list(tmp_path.iterdir())


def test_notices_are_handed_over(monkeypatch: pytest.MonkeyPatch, report: Any) -> None:
    assert handed_notices() == []
    monkeypatch.setenv(worker.NOTICES, '["one", "two"]')
    assert handed_notices() == ["one", "two"]
    monkeypatch.delenv("LORAFW_WORKER")
    assert handed_notices() == []
