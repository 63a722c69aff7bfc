"""Which of several failures came first, and what it takes to try again."""

from __future__ import annotations

import itertools
import signal
from pathlib import Path

import pytest

from lorafw.training.launching.failure import (
    Failure,
    Kind,
    cause,
    read_report,
    without_a_word,
    write_report,
)
from lorafw.training.launching.restarts import Progress, fewer, may_help


def _failure(kind: Kind, rank: int = 0, time: float = 0.0, code: int = 1) -> Failure:
    return Failure(rank, kind, "so", code, time)


def test_what_follows_from_others_is_not_the_cause() -> None:
    order = [
        _failure("killed", 1, 9.0, 128 + signal.SIGKILL),
        _failure("crashed", 2, 5.0),
        _failure("refused", 3, 6.0),
        _failure("killed", 4, 1.0, 128 + signal.SIGABRT),
        _failure("stopped", 5, 0.5, 143),
        _failure("lost contact", 6, 0.1),
    ]
    for first, second in itertools.combinations(order, 2):
        assert cause([second, first]) is first


def test_a_report_is_read_as_it_was_written_and_the_first_stands(tmp_path: Path) -> None:
    path = tmp_path / "0.json"
    assert read_report(path) is None
    first = Failure(3, "crashed", "ü", 1, 0.5, traceback="here")
    write_report(first, path)
    write_report(_failure("refused"), path)
    assert read_report(path) == first


@pytest.mark.parametrize(
    ("code", "reason", "left"),
    [
        (-9, "it was killed by SIGKILL, perhaps for want of memory", 137),
        (-6, "it was killed by SIGABRT", 134),
        (3, "it ended with exit code 3", 3),
    ],
)
def test_the_end_of_a_process_that_said_nothing(code: int, reason: str, left: int) -> None:
    failure = without_a_word(1, code, 0.0)
    assert (failure.reason, failure.exit_code) == (reason, left)
    assert failure.killed_by_signal is (code < 0)


@pytest.mark.parametrize(
    ("kind", "code", "without_progress", "with_progress"),
    [
        ("refused", 1, False, False),
        ("stopped", 143, False, False),
        ("crashed", 1, False, True),
        ("killed", 7, False, True),
        ("killed", 137, True, True),
        ("lost contact", 1, True, True),
    ],
)
def test_when_another_attempt_may_help(
    kind: Kind, code: int, without_progress: bool, with_progress: bool
) -> None:
    failure = _failure(kind, code=code)
    assert may_help(failure, Progress(None, None)) is without_progress
    assert may_help(failure, Progress(4, 4)) is without_progress
    assert may_help(failure, Progress(4, 6)) is with_progress
    assert may_help(failure, Progress(None, 1)) is with_progress


def test_fewer_ranks_but_not_too_few() -> None:
    assert [fewer(4, 2, killed) for killed in range(5)] == [4, 3, 2, 2, 2]
