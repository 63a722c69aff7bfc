"""A difference is told by its part, its option, and both values."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.contracts import TrainPlan
from lorafw.errors import CheckpointError, UsageError
from lorafw.training.checkpoints.fingerprint import (
    ACCEPTABLE,
    changes,
    check_accepted,
    check_changes,
    flags_of,
)
from lorafw.training.checkpoints.identity import of_plan

RUN: dict[str, Any] = {
    "seed": 1,
    "data": "d1",
    "files": "f1",
    "tokenizer": "t1",
    "template": {"use": "chat", "system": "Be kind."},
    "base": "b1",
    "adapter": {"rank": 8, "alpha": 16},
    "objective": {"use": "causal-lm"},
    "plan": {"learning_rate": 0.1, "betas": [0.9, 0.999]},
}
OTHER: dict[str, Any] = {
    "seed": 2,
    "data": "d2",
    "tokenizer": "t2",
    "template": {"use": "chat", "system": "Be brief."},
    "base": "b2",
    "adapter": {"rank": 8, "alpha": 32},
    "objective": {"use": "causal-lm", "z_loss": 0.1},
    "plan": {"learning_rate": 0.2, "betas": [0.9, 0.999]},
}
TOLD = {
    "seed": "another seed (seed: 1 -> 2)",
    "data": "another data",
    "tokenizer": "another tokenizer",
    "template": 'another template (template.system: "Be kind." -> "Be brief.")',
    "base": "another base",
    "adapter": "another adapter (adapter.alpha: 16 -> 32)",
    "objective": "another objective (objective.z_loss: null -> 0.1)",
    "plan": "another plan (plan.learning_rate: 0.1 -> 0.2)",
}


@pytest.mark.parametrize("part", OTHER)
def test_each_part_is_named_alone(part: str) -> None:
    found = changes({**RUN, part: OTHER[part]}, RUN)
    assert [str(change) for change in found] == [TOLD[part]]
    with pytest.raises(CheckpointError, match=f"--accept-changed {part}, or start a new run"):
        check_changes(found, [], "here")
    check_changes(found, [part], "here")


def test_nothing_differs_from_itself() -> None:
    assert changes(RUN, RUN) == []


def test_all_that_must_be_accepted_is_named_at_once() -> None:
    found = changes({**RUN, "seed": 2, "base": "b2"}, RUN)
    with pytest.raises(CheckpointError, match="--accept-changed base --accept-changed seed,"):
        check_changes(found, ["base"], "here")


@pytest.mark.parametrize("cause", ["tokenizer", "template"])
def test_rows_that_follow_from_something_else_are_not_other_data(cause: str) -> None:
    other = {**RUN, cause: OTHER[cause], "data": "d2"}
    assert [change.part for change in changes(other, RUN)] == [cause]
    both = {**other, "files": "f2"}
    assert [change.part for change in changes(both, RUN)] == ["data", cause]


def test_files_may_change_where_rows_do_not() -> None:
    assert changes({**RUN, "files": "f2"}, RUN) == []


def test_an_option_that_was_not_there_yet_had_its_default() -> None:
    now = of_plan(TrainPlan())
    before = {"plan": {k: v for k, v in now["plan"].items() if k != "neftune_alpha"}}
    assert changes(now, before) == []
    noisy = of_plan(TrainPlan(neftune_alpha=5.0))  # type: ignore[call-arg]
    assert [str(change) for change in changes(noisy, before)] == [
        "another plan (plan.neftune_alpha: null -> 5.0)"
    ]


def test_what_changes_no_update_may_change() -> None:
    options = {"micro_batch_tokens": 1, "layout": "padded", "keep_checkpoints": 9}
    other = TrainPlan.from_mapping(
        {**options, "checkpoint_every": 7, "evaluate_every": 3}, where="plan"
    )
    assert of_plan(other) == of_plan(TrainPlan())


def test_long_values_are_cut() -> None:
    found = changes({"adapter": {"targets": ["q"] * 99}}, {"adapter": {"targets": []}})
    assert len(str(found[0])) < 120


def test_only_parts_can_be_accepted_and_only_on_resume() -> None:
    check_accepted(ACCEPTABLE, resume=True)
    check_accepted([], resume=False)
    with pytest.raises(UsageError, match=r"'dta' is no part of a run\. Did you mean 'data'"):
        check_accepted(["dta"], resume=True)
    with pytest.raises(UsageError, match=r"nothing is continued\. Add --resume"):
        check_accepted(["data"], resume=False)
    assert flags_of(["data", "plan"]) == ["--accept-changed", "data", "--accept-changed", "plan"]
