"""A loss or gradient that is not finite ends the run, or its step is left out on every rank."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from tests.unit.training.faulty_engines import BAD_ROW, Diverged, DivergedLater, Poisoned, Steep
from tests.unit.training.on_engine import OnEngine, notices, trained
from torch import Tensor

from lorafw.contracts import AdaptedModel
from lorafw.errors import CheckpointError, TrainingError
from lorafw.testing.toy_training import started, toy_model, train, training_plan
from lorafw.testing.values import equal
from lorafw.training.guards.finite import MOST_IN_A_ROW, require_finite
from lorafw.training.whole_engine import WholeEngine


def test_the_row_that_gives_nan_is_named_as_the_user_counts() -> None:
    with pytest.raises(TrainingError) as caught:
        trained(Poisoned, row_name=lambda row: f"line {row + 100}")
    assert caught.value.what == f"the loss of step 1 is nan, because of line {BAD_ROW + 100}."
    assert "lorafw data preview" in caught.value.mend
    with pytest.raises(TrainingError, match=f"because of row {BAD_ROW + 1}\\."):
        trained(Poisoned)


def test_weights_that_diverged_are_not_blamed_on_rows() -> None:
    with pytest.raises(TrainingError, match="that of each of its rows") as caught:
        trained(DivergedLater)
    assert "learning_rate" in caught.value.mend


def test_what_nothing_was_trained_for_is_not_blamed_on_the_learning_rate() -> None:
    with pytest.raises(TrainingError) as caught:
        trained(Diverged)
    assert "model.dtype" in caught.value.mend
    assert "learning_rate" not in caught.value.mend


@pytest.mark.parametrize("non_finite", ["stop", "skip"])
def test_numbers_of_the_base_that_are_not_finite_are_named(non_finite: str) -> None:
    model = toy_model()
    name, weight = next((n, w) for n, w in model.frozen().items() if "down_proj" in n)
    with torch.no_grad():
        weight[0, 0] = math.nan
    plan = training_plan(non_finite=non_finite, epochs=9, max_steps=MOST_IN_A_ROW + 1)
    with pytest.raises(TrainingError) as caught:
        trained(model=model, plan=plan)
    assert f"The base itself holds such numbers: {name}." in caught.value.mend


@pytest.mark.parametrize("budget", [2048, 16])
def test_a_step_that_is_left_out_leaves_no_trace(budget: int) -> None:
    """The run equals one that computes the same steps in full, and does not apply them."""
    plan = training_plan(non_finite="skip", micro_batch_tokens=budget)
    done = trained(Poisoned, plan=plan)
    told = f"Step 1 is left out: the loss of step 1 is nan, because of row {BAD_ROW + 1}."
    assert told in notices(done)
    skipped = [number for number, flag in enumerate(done.figures("skipped"), 1) if flag]
    assert 1 in skipped
    assert done.result.skipped_steps == len(skipped)

    class Elsewise(Steep):
        overflows = tuple(skipped)

    assert equal(done.values, trained(Elsewise, plan=plan).values)


def test_a_gradient_that_is_not_finite_updates_nothing() -> None:
    with pytest.raises(TrainingError, match="the gradient norm of step 2 is inf, with a loss of"):
        trained(Steep)
    done = trained(Steep, plan=training_plan(non_finite="skip", max_steps=2))
    assert done.figures("skipped") == [False, True]
    once = trained(WholeEngine, plan=training_plan(max_steps=1))
    assert equal(done.values, once.values)


def test_too_many_in_a_row_end_the_run_all_the_same() -> None:
    steps = MOST_IN_A_ROW + 1
    plan = training_plan(non_finite="skip", epochs=9, max_steps=steps)
    with pytest.raises(TrainingError, match=f"{steps} steps in a row had to be left out"):
        trained(Diverged, plan=plan)


def test_a_method_never_sees_gradients_that_are_not_finite() -> None:
    seen: list[int] = []

    class Steeper(WholeEngine):
        def gradients(self) -> dict[str, Tensor]:
            return {name: g * math.inf for name, g in super().gradients().items()}

    model: AdaptedModel = toy_model()
    model.wants_gradients = True
    model.before_step = lambda step, _gradients: seen.append(step)  # type: ignore[method-assign]
    model.after_step = seen.append  # type: ignore[method-assign]
    plan = training_plan(non_finite="skip", max_steps=2)
    assert trained(Steeper, model=model, plan=plan).figures("skipped") == [True, True]
    assert not seen


def test_skipped_steps_are_counted_over_a_resume(tmp_path: Path) -> None:
    plan = training_plan(non_finite="skip", checkpoint_every=1)
    with started(OnEngine(kind=Poisoned)) as running:
        short = plan.model_copy(update={"max_steps": 2})
        train(running, plan=short, checkpoints=tmp_path, row_name=str)
    about = json.loads((tmp_path / "step-00000001" / "checkpoint.json").read_text())
    assert about["progress"]["skipped_steps"] == 1
    assert about["progress"]["last_loss"] is None
    with started(OnEngine(kind=Poisoned)) as running:
        resumed = train(running, plan=plan, checkpoints=tmp_path, resume=True)
    assert resumed.result.skipped_steps == trained(Poisoned, plan=plan).result.skipped_steps


def test_numbers_that_are_not_finite_are_not_kept() -> None:
    sound = {"a": {"value": torch.ones(2), "step": torch.tensor(1)}}
    require_finite(sound, {"b": torch.zeros(0)})
    with pytest.raises(CheckpointError, match=r"a \(exp_avg\)"):
        require_finite({"a": {**sound["a"], "exp_avg": torch.tensor([1.0, math.inf])}}, {})
    with pytest.raises(CheckpointError, match="b"):
        require_finite(sound, {"b": torch.tensor(math.nan)})
