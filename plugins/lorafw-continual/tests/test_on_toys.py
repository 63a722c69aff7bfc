"""Every scenario from start to end on toys: its matrix, and what it promises of the adapter."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from lorafw.stages.memory import facts_of, tensors_of
from lorafw.testing.forked_ranks import run_on_ranks
from lorafw.training.checkpoints.files import read_files

NAMES = ["first", "second", "third"]
CASES = {
    "sequential",
    "joint",
    "replay",
    "adapter-per-task",
    "adapter-per-task by similarity",
    "ewc",
    "gem",
    "a-gem",
    "ogd",
    "lwf",
    "lfpt5",
    "o-lora",
    "sequential with prompts",
    "progressive-prompts",
    "l2p",
    "mbpa++",
    "mbpa++ with local steps",
}
COMPARED = {
    "progressive-prompts": "sequential with prompts",
    "l2p": "sequential with prompts",
    "mbpa++ with local steps": "mbpa++",
}
"""What else than `sequential` a case is to be compared with: what alone it trains as well."""
CLOSE = 1e-5


def _run(folder: Path, ranks: int) -> Path:
    hidden = {"CUDA_VISIBLE_DEVICES": ""}
    arguments, here = [str(folder)], Path(__file__).parent
    log = folder.with_suffix(".log")
    run_on_ranks(ranks, "on_toys", arguments, log=log, folder=here, environment=hidden)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _run(tmp_path_factory.mktemp("one") / "runs", 1)


def matrix(runs: Path, case: str) -> dict[str, dict[str, float]]:
    """The held-out loss of every task after every stage."""
    record: dict[str, Any] = json.loads((runs / case / "record.json").read_text(encoding="utf-8"))
    figures: dict[str, dict[str, Any]] = record["scores"]["figures"]
    return {stage: {task: row[task]["loss"] for task in row} for stage, row in figures.items()}


def left_by(runs: Path, case: str, stage: str) -> dict[str, Tensor]:
    """The adapter at the end of a stage."""
    return tensors_of(read_files(runs / case / "stages" / stage))


def test_all_of_them_were_run(runs: Path) -> None:
    assert {place.name for place in runs.iterdir()} == CASES


@pytest.mark.parametrize("case", sorted(CASES))
def test_it_leaves_a_whole_matrix_and_learns(runs: Path, case: str) -> None:
    found = matrix(runs, case)
    assert list(found) == (["before", "joint"] if case == "joint" else ["before", *NAMES])
    assert all(list(row) == NAMES for row in found.values())
    assert all(math.isfinite(loss) for row in found.values() for loss in row.values())
    first = list(found.values())[1]
    assert first != found["before"]


def test_with_an_adapter_of_its_own_no_task_is_forgotten(runs: Path) -> None:
    found = matrix(runs, "adapter-per-task")
    for at, name in enumerate(NAMES):
        column = [found[stage][name] for stage in ["before", *NAMES]]
        assert column[: at + 1] == [column[0]] * (at + 1)
        assert column[at + 1 :] == [column[at + 1]] * (len(NAMES) - at)
        assert column[0] != column[-1]


def test_ewc_stays_nearer_to_what_mattered(runs: Path) -> None:
    kept = tensors_of(read_files(runs / "ewc" / "kept" / "ewc" / "first"))
    after = {case: left_by(runs, case, "second") for case in ("ewc", "sequential")}
    moved = {
        case: sum(
            float((kept[f"F/{name}"] * (value - kept[f"theta/{name}"]) ** 2).sum())
            for name, value in values.items()
        )
        for case, values in after.items()
    }
    assert 0 < moved["ewc"] < 0.5 * moved["sequential"]


def test_the_basis_of_ogd_is_orthonormal_across_tasks(runs: Path) -> None:
    places = sorted((runs / "ogd" / "kept" / "ogd").iterdir())
    assert [place.name for place in places] == NAMES[:2]  # nobody needs the last one's
    basis = torch.cat([tensors_of(read_files(place))["basis"] for place in places]).double()
    assert len(basis) == 6  # what of 7 `memories` two tasks share
    off = basis @ basis.T - torch.eye(6, dtype=torch.float64)
    assert float(off.abs().max()) < CLOSE


def test_o_lora_leaves_the_ranks_of_earlier_tasks_to_the_bit(runs: Path) -> None:
    last = left_by(runs, "o-lora", "third")
    for at, stage in enumerate(NAMES):
        then = left_by(runs, "o-lora", stage)
        for name, value in then.items():
            a = "lora_A" in name
            old, now = (each if a else each.T for each in (value, last[name]))
            done = 2 * (at + 1)
            assert torch.equal(old[:done], now[:done])
            assert a or bool(old[done - 2 : done].any())
            assert a or not old[done:].any()


def test_progressive_prompts_of_earlier_tasks_stay_to_the_bit(runs: Path) -> None:
    table = "prompt_embeddings"
    fresh, last = (
        tensors_of(read_files(runs / "progressive-prompts" / place))[table]
        for place in ("kept/initial", "stages/third")
    )
    assert not any(torch.equal(old, new) for old, new in zip(fresh, last, strict=True))
    for at, stage in enumerate(NAMES, start=1):
        then, others = left_by(runs, "progressive-prompts", stage)[table], 9 - 3 * at
        assert torch.equal(then[others:], last[others:])
        assert torch.equal(then[:others], fresh[:others])


def test_with_progressive_prompts_no_task_is_forgotten(runs: Path) -> None:
    found = matrix(runs, "progressive-prompts")
    for at, name in enumerate(NAMES):
        column = [found[stage][name] for stage in ["before", *NAMES]]
        assert column[at + 1 :] == [column[at + 1]] * (len(NAMES) - at)
        assert len(set(column)) == at + 2


def test_prompts_of_a_pool_are_scored_as_they_were_trained(runs: Path) -> None:
    """A row's prompt is all that is looked at, in a batch with its answer as by itself."""
    for name in NAMES:
        place = runs / "l2p" / "stages" / name
        told = facts_of(read_files(place))["result"]["evaluation"]["loss"]
        assert matrix(runs, "l2p")[name][name] == pytest.approx(told, abs=CLOSE)


def test_o_lora_turns_the_subspaces_of_tasks_away_from_each_other(runs: Path) -> None:
    start = tensors_of(read_files(runs / "o-lora" / "kept" / "initial"))
    before, after = _overlaps(start), _overlaps(left_by(runs, "o-lora", "third"))
    assert after[0] < 0.6 * before[0]
    assert after[1] < 0.6 * before[1]


def _overlaps(values: dict[str, Tensor]) -> tuple[float, float]:
    """Mean |cos| of the second task's rows of A with the first's, and of the third's with both."""
    found = []
    for name, value in values.items():
        if "lora_A" in name:
            rows = torch.nn.functional.normalize(value.double(), dim=1)
            cosines = (rows @ rows.T).abs()
            found.append((cosines[2:4, :2].mean(), cosines[4:, :4].mean()))
    second, third = zip(*found, strict=True)
    return float(torch.stack(second).mean()), float(torch.stack(third).mean())


def _against_forgetting() -> list[str]:
    others = ("sequential", "joint", "adapter-per-task")
    return sorted(case for case in CASES if not case.startswith(others))


@pytest.mark.parametrize("case", _against_forgetting())
def test_what_is_done_against_forgetting_changes_the_outcome(runs: Path, case: str) -> None:
    other = matrix(runs, COMPARED.get(case, "sequential"))["third"]
    assert any(
        abs(loss - other[task]) > CLOSE for task, loss in matrix(runs, case)["third"].items()
    )


def test_with_a_router_the_first_adapter_answers_all_until_there_is_another(runs: Path) -> None:
    named, routed = (
        matrix(runs, case)["first"]
        for case in ("adapter-per-task", "adapter-per-task by similarity")
    )
    assert routed["first"] == pytest.approx(named["first"], abs=CLOSE)
    assert all(abs(routed[task] - named[task]) > CLOSE for task in NAMES[1:])


def test_local_adaptation_is_for_the_answer_alone(runs: Path) -> None:
    one, other = (
        load_file(runs / case / "values") for case in ("mbpa++", "mbpa++ with local steps")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_two_ranks_and_smaller_batches_leave_the_same(
    runs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    others = _run(tmp_path_factory.mktemp("two") / "runs", 2)
    for case in sorted(CASES):
        one, two = load_file(runs / case / "values"), load_file(others / case / "values")
        assert max(float((one[n] - two[n]).abs().max()) for n in one) < CLOSE, case
        here, there = matrix(runs, case), matrix(others, case)
        for stage, row in here.items():
            assert row == pytest.approx(there[stage], abs=CLOSE), f"{case}, after {stage}"
