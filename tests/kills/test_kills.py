"""A run killed at any moment, once or more, ends as if it never had been.

Moments are drawn, by a seed, over the time of a run and over named ones, such as the middle of a
file that is being written. Every rank of a run is a process of its own, and ends by SIGKILL.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.kills.journeys import ALL, DROPOUT, SEED, USUAL, Whole, at, journey
from tests.kills.runs import (
    KILLED,
    STEPS,
    Place,
    adapter,
    furthest,
    inputs,
    said,
    steps,
    zygote,
)

from lorafw.errors import CheckpointError
from lorafw.training.checkpoints.files import read_files
from lorafw.training.checkpoints.places import complete, newest_checkpoint

LOG = logging.getLogger(__name__)
"""Shown with a test that fails."""
TOLERANCE = 5e-6
NUMBERS = [
    *range(USUAL),
    *(pytest.param(number, marks=pytest.mark.kills) for number in range(USUAL, ALL)),
]
ONE, TWO = Place("ddp", 1), Place("deepspeed-2", 2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with zygote(inputs(tmp_path_factory.mktemp("inputs"))) as started:
        yield Whole(started, tmp_path_factory.mktemp("whole"))
        LOG.warning("runs used %.0f s of a core", started.core)


@dataclass
class Tally:
    """Kills that were meant, and that hit."""

    meant: int = 0
    hit: int = 0


@pytest.fixture(scope="module")
def tally() -> Tally:
    return Tally()


@pytest.mark.parametrize("number", NUMBERS)
def test_a_killed_run_ends_as_if_it_never_had_been(
    number: int, whole: Whole, tally: Tally, tmp_path: Path
) -> None:
    LOG.warning("LORAFW_KILLS_SEED=%s, journey %s", SEED, number)
    travelled, output = journey(number), tmp_path / "run"
    *killed, last = travelled.places
    expected = whole.at(last, travelled.dropout)
    for turn, place in enumerate(killed):
        moment = travelled.moment(turn, whole.seconds())
        LOG.warning("%s: %s", place, moment)
        codes, _ = whole.zygote.run(
            place, output, dropout=travelled.dropout, resume=turn > 0, **moment
        )
        tally.meant, tally.hit = tally.meant + 1, tally.hit + (KILLED in codes)
        assert set(codes) <= {0, 1, KILLED}, f"{codes}\n{said(output)[-3000:]}"
        assert_whole(output)
    whole.zygote.finish(last, output, dropout=travelled.dropout, resume=True)
    assert_the_same(output, expected, exactly=not travelled.moves)


def assert_whole(output: Path) -> None:
    """Whatever looks like a checkpoint is one."""
    for place in complete(output / "checkpoints" / "train"):
        read_files(place)


def assert_the_same(output: Path, expected: Path, *, exactly: bool) -> None:
    """The same adapter, from the same rows in the same order, and nothing left lying about."""
    ours, theirs = adapter(output), adapter(expected)
    assert furthest(ours, theirs) <= (0 if exactly else TOLERANCE)
    told = {event["step"]: event for event in steps(expected)}
    assert {event["step"] for event in steps(output)} == set(told) == set(range(1, STEPS + 1))
    for event in steps(output):
        other = told[event["step"]]
        assert event["tokens"] == other["tokens"], "other rows, or another order"
        assert event["loss"] == pytest.approx(other["loss"], rel=0 if exactly else 1e-5, abs=0)
    left = [*output.glob(".*"), *(output / "checkpoints" / "train").glob(".*")]
    assert not left, "what a killed process left was not cleared"


def test_the_kills_hit(tally: Tally) -> None:
    """A run may be over just before its moment comes, but few are."""
    if not tally.meant:
        pytest.skip("no run was meant to be killed")
    LOG.warning("%s of %s kills hit", tally.hit, tally.meant)
    assert tally.hit >= 0.8 * tally.meant


@pytest.mark.parametrize(("first", "second"), [(TWO, ONE), (ONE, TWO)], ids=str)
def test_zero_2_on_two_ranks_and_ddp_on_one_continue_each_other(
    first: Place, second: Place, whole: Whole, tmp_path: Path
) -> None:
    """Also where only rank 0's machine has the checkpoint."""
    output, alone = tmp_path / "run", second.ranks == 1
    codes, _ = whole.zygote.run(first, output, **at("before a step", 4))
    assert KILLED in codes
    done = [event["step"] for event in steps(output)]
    fault = {} if alone else {"fault": "others have no files"}
    whole.zygote.finish(second, output, resume=True, **fault)
    assert [event["step"] for event in steps(output)] == [*done, *range(4, STEPS + 1)]
    assert_the_same(output, whole.at(ONE, 0.0), exactly=False)


def test_a_damaged_checkpoint_ends_all_ranks_with_the_same_words(
    whole: Whole, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    whole.zygote.run(ONE, output, **at("before a step", 4))
    newest = newest_checkpoint(output / "checkpoints" / "train")
    assert newest is not None
    (newest / "state.safetensors").write_bytes(b"")
    codes, _ = whole.zygote.run(TWO, output, resume=True, fault="others have no files", grace=20.0)
    assert codes == [1, 1]
    assert said(output).count(f"Error: {newest}: cannot be read") == 2
    assert said(output).count("to continue from step 2, which is whole") == 2


def test_a_repeated_step_would_be_seen(whole: Whole, tmp_path: Path) -> None:
    output = tmp_path / "run"
    whole.zygote.run(ONE, output, dropout=DROPOUT, **at("before a step", 4))
    whole.zygote.finish(ONE, output, dropout=DROPOUT, resume=True, fault="repeats a step")
    with pytest.raises(AssertionError):
        assert_the_same(output, whole.at(ONE, DROPOUT), exactly=True)


def test_a_checkpoint_written_in_place_would_be_seen(whole: Whole, tmp_path: Path) -> None:
    output = tmp_path / "run"
    whole.zygote.run(ONE, output, fault="writes in place", **at("in a file of tensors", 3))
    with pytest.raises(CheckpointError):
        assert_whole(output)
