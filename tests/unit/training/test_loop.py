"""The loop measures, keeps and stops when the plan says so, and tells of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lorafw.assembly.registry import Registry
from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import Trainer
from lorafw.errors import ConfigError
from lorafw.testing.toy_training import Trained, started, train, training_plan
from lorafw.testing.toys import toy_rows

STEPS_PER_EPOCH = 4
FIGURES: list[float] = []


class Told(CausalLM):
    """An objective whose evaluations come out as told, one after the other."""

    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        return {"loss": FIGURES.pop(0)}


def fit(*figures: float, plan: Mapping[str, Any], **job: Any) -> Trained:
    """A fit whose evaluations, the one before it first, show these figures."""
    FIGURES[:] = figures
    trainer = Registry().load("trainer", "ddp")()
    assert isinstance(trainer, Trainer)
    with started(trainer) as running:
        done = train(
            running,
            plan=training_plan(**plan),
            **{"eval_rows": toy_rows(2, seed=3), "objective": Told(), **job},
        )
    assert not FIGURES, "there were fewer evaluations"
    return done


def told(done: Trained, event: str, *values: str) -> list[tuple[Any, ...]]:
    return [tuple(payload[v] for v in values) for name, payload in done.events if name == event]


def test_evaluations_at_the_end_of_each_epoch_and_which_was_the_best() -> None:
    done = fit(9, 5, 6, 4, plan={"max_steps": 10, "epochs": 3, "evaluate_every": "epoch"})
    assert told(done, "evaluation_end", "step", "best") == [
        *((0, False), (STEPS_PER_EPOCH, True), (2 * STEPS_PER_EPOCH, False), (10, True)),
    ]
    assert told(done, "fit_end", "ended", "best_step", "best_figure") == [("finished", 10, 4)]


def test_early_stopping_is_told_with_the_best_step(tmp_path: Path) -> None:
    plan = {"evaluate_every": 1, "early_stopping_patience": 2, "checkpoint_every": 100}
    done = fit(1, 5, 6, 6, plan=plan, checkpoints=tmp_path)
    assert told(done, "fit_end", "steps", "ended", "best_step") == [(3, "early stopping", 1)]
    assert done.result.ended == "early stopping"
    assert not done.result.stopped
    assert done.result.evaluation == {"loss": 6}
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]


def test_a_figure_that_is_not_a_number_is_said_and_can_be_kept_in_a_checkpoint(
    tmp_path: Path,
) -> None:
    plan = {"max_steps": 2, "evaluate_every": 1, "checkpoint_every": 1}
    done = fit(9, math.nan, 5, plan=plan, checkpoints=tmp_path)
    assert told(done, "evaluation_end", "step", "best") == [(0, False), (1, False), (2, True)]
    assert told(done, "notice", "message") == [
        ("The held-out loss after step 1 is nan: no progress.",)
    ]


def test_when_no_figure_was_a_number_the_last_weights_are_left(tmp_path: Path) -> None:
    plan = {"max_steps": 2, "evaluate_every": 1, "export_best": True}
    done = fit(math.nan, math.nan, math.nan, plan=plan, checkpoints=tmp_path)
    assert (done.result.best_step, done.result.best_figure) == (None, None)
    assert math.isnan(done.result.evaluation["loss"])


def test_what_is_left_is_told_with_its_figures(tmp_path: Path) -> None:
    plan = {"max_steps": 3, "evaluate_every": 1, "export_best": True, "checkpoint_every": 100}
    done = fit(9, 5, 4, 7, plan=plan, checkpoints=tmp_path)
    assert done.result.evaluation == {"loss": 4}
    assert ("The weights of step 2 are kept, the best ones.",) in told(done, "notice", "message")


@pytest.mark.parametrize(
    "plan",
    [{"early_stopping_patience": 1, "evaluate_every": 1}, {"export_best": True}],
    ids=["patience", "best"],
)
def test_deciding_without_held_out_rows_is_refused_before_a_step(
    plan: Mapping[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no held-out rows"):
        fit(plan=plan, eval_rows=(), checkpoints=tmp_path)
