"""Early stopping and the best step are the same whenever a run is killed, on any ranks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.equivalence.kept_best import (
    BEST,
    FOLDER,
    LAST,
    TRIED,
    Ending,
    kills,
    run,
    run_watched,
    trainer,
)
from tests.equivalence.test_same_update import launch
from torch import Tensor

from lorafw.testing.toy_training import started
from lorafw.testing.values import equal
from lorafw.training.checkpoints.files import read_files

CLOSE = 5e-6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept-best")


@pytest.fixture(scope="module")
def alone(folder: Path) -> Ending:
    with started(trainer("ddp")) as running:
        return run_watched(running, folder)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("ranks")
    launch(2, output, *TRIED, worker="kept_best")
    return output


def decisions(ranks: Path, engine: str, rank: int) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((ranks / f"{engine}-{rank}.json").read_text())
    return found


def values(ranks: Path, engine: str, name: str) -> dict[str, Tensor]:
    stored = load_file(ranks / f"{engine}-0.safetensors").items()
    return {key.removeprefix(f"{name}/"): t for key, t in stored if key.startswith(f"{name}/")}


def test_it_stops_early_and_ends_with_the_best_step(alone: Ending, folder: Path) -> None:
    told = alone.decision
    assert (told["ended"], told["steps"], told["best_step"]) == ("early stopping", LAST, BEST)
    assert told["evaluation"]["loss"] == told["best_figure"]
    stored = read_files(folder / "whole" / FOLDER / f"step-{BEST:08d}")
    assert stored.about["progress"]["best"]["step"] == BEST
    assert equal(alone.values, {name: held["value"] for name, held in stored.state.items()})


def test_without_it_the_last_step_is_left(alone: Ending, tmp_path: Path) -> None:
    with started(trainer("ddp")) as running:
        last = run(running, tmp_path, export_best=False)
    assert last.decision["best_step"] == BEST
    assert last.decision["steps"] == LAST
    assert last.decision["evaluation"]["loss"] > alone.decision["best_figure"]
    assert not equal(last.values, alone.values)


def test_the_newest_and_the_best_are_what_is_kept(alone: Ending, folder: Path) -> None:
    assert alone.decision["best_step"] == BEST
    kept = sorted(place.name for place in (folder / "whole" / FOLDER).iterdir())
    assert kept == [f"step-{step:08d}" for step in (BEST, LAST)]


def test_killed_at_any_state_of_its_folder_it_ends_the_same(alone: Ending, folder: Path) -> None:
    left = kills(folder)
    assert len(left) >= 6, "the folder was seen in fewer states than a run goes through"
    with started(trainer("ddp")) as running:
        for kill in left:
            again = run(running, kill, resume=True)
            assert again.decision == alone.decision, kill.name
            assert equal(again.values, alone.values), kill.name


@pytest.mark.parametrize("engine", TRIED)
def test_ranks_decide_alike_and_as_one_does(ranks: Path, engine: str, alone: Ending) -> None:
    first, second = (decisions(ranks, engine, rank) for rank in (0, 1))
    assert first == second
    assert len(first) >= 2
    for name, told in first.items():
        assert told == first["whole"], name
        assert close(told, alone.decision), name
        mine = values(ranks, engine, name)
        assert equal(mine, values(ranks, engine, "whole")), name
        off = max(float((mine[key] - alone.values[key]).abs().max()) for key in alone.values)
        assert off <= CLOSE, f"{name}: parameters are off by {off:.1e}"


def test_a_run_of_two_ranks_goes_on_with_one(ranks: Path, alone: Ending) -> None:
    place = kills(ranks / "ddp")[3]
    with started(trainer("ddp")) as running:
        again = run(running, place, resume=True)
    assert close(again.decision, alone.decision)
    off = max(float((again.values[key] - alone.values[key]).abs().max()) for key in alone.values)
    assert off <= CLOSE


def close(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether decisions are the same, and figures up to rounding."""
    figures = {"evaluation", "evaluation_before", "first_loss", "last_loss", "best_figure"}
    exact = all(found[name] == wanted[name] for name in wanted.keys() - figures)
    near = all(found[name] == pytest.approx(wanted[name], rel=1e-5) for name in figures)
    return exact and near
