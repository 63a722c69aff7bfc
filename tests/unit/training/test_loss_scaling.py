"""Scaling the loss changes no fp32 number, and keeps an fp16 base's gradients alive."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.unit.training.on_engine import OnEngine, notices, trained

from lorafw.contracts import AdaptedModel, Engine, EngineJob, World
from lorafw.errors import CompositionError
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toy_training import SEED, started, toy_model, train, training_plan
from lorafw.testing.toys import toy_bundle
from lorafw.testing.values import as_if_trained, equal
from lorafw.training import loss_scaling
from lorafw.training.engine_trainer import EngineTrainer
from lorafw.training.loss_scaling import PATIENCE, LossScaling, Scale, needs_scaling
from lorafw.training.whole_engine import WholeEngine


def fp16_model() -> AdaptedModel:
    model = ToyInjector(r=4).inject(toy_bundle("fp16"))
    as_if_trained(model, SEED)
    return model


def test_the_scale_halves_on_overflow_and_doubles_with_patience() -> None:
    assert Scale().factor == 65536
    scale = Scale().halved()
    assert scale == Scale(32768, good_steps=0)
    for _ in range(PATIENCE):
        scale = scale.after_good_step()
    assert scale == Scale(65536, good_steps=0)
    assert scale.after_good_step() == Scale(65536, good_steps=1)


def test_only_fp16_weights_need_it() -> None:
    assert needs_scaling(fp16_model().bundle.module)
    assert not needs_scaling(toy_model().bundle.module)
    assert not needs_scaling(toy_bundle("bf16").module)


def test_in_fp32_a_scale_changes_not_one_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = trained()
    monkeypatch.setattr(loss_scaling, "needs_scaling", lambda _module: True)
    scaled = trained()
    assert equal(scaled.values, plain.values)
    for figure in ("loss", "grad_norm"):
        assert scaled.figures(figure) == plain.figures(figure)


def test_fp16_equals_fp32_within_its_rounding() -> None:
    wanted, found = trained(), trained(model=fp16_model())
    assert found.figures("loss") == pytest.approx(wanted.figures("loss"), abs=2e-3)
    assert found.figures("grad_norm") == pytest.approx(wanted.figures("grad_norm"), rel=2e-3)
    assert not any(found.figures("skipped"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_on_a_gpu_fp16_is_fp32_within_its_rounding() -> None:
    with started(OnDevice()) as running:
        device = running.world.device
        model = fp16_model()
        model.bundle.module.to(device)
        wanted, found = train(running, toy_model(device)), train(running, model)
    assert found.figures("loss") == pytest.approx(wanted.figures("loss"), abs=5e-3)
    assert not any(found.figures("skipped"))


class OnDevice(EngineTrainer):
    """Wherever a run would train."""

    def open_engine(self, job: EngineJob, world: World) -> Engine:
        return WholeEngine(job, world, job.module)


def test_a_step_that_overflows_is_repeated_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the same step: a run that starts with the lower scale is the same run."""
    monkeypatch.setattr(loss_scaling.Scale.__init__, "__defaults__", (2.0**20, 0))
    high = trained(model=fp16_model())
    (notice,) = notices(high)
    assert "step 1 overflowed fp16" in notice
    reached = float(notice.rpartition(" ")[2].rstrip("."))
    monkeypatch.setattr(loss_scaling.Scale.__init__, "__defaults__", (reached, 0))
    low = trained(model=fp16_model())
    assert notices(low) == []
    assert equal(high.values, low.values)


def test_the_scale_is_part_of_a_checkpoint(tmp_path: Path) -> None:
    plan = training_plan(checkpoint_every=1)
    whole = trained(model=fp16_model(), plan=plan)
    with started(OnEngine()) as running:
        short = plan.model_copy(update={"max_steps": 3})
        train(running, fp16_model(), plan=short, checkpoints=tmp_path)
    with started(OnEngine()) as running:
        resumed = train(running, fp16_model(), plan=plan, checkpoints=tmp_path, resume=True)
    assert notices(resumed) == []  # the scale has been found already
    assert equal(resumed.values, whole.values)


def test_a_gradient_that_overflows_at_scale_one_is_no_matter_of_scale() -> None:
    scaling = LossScaling(fp16_model(), WholeEngineOnTheCPU())  # type: ignore[arg-type]
    scaling.restore(Scale(2.0))
    assert scaling.lower()
    assert not scaling.lower()
    assert scaling.factor == 1


def test_an_engine_that_takes_parameters_away_is_refused() -> None:
    class Apart(WholeEngine):
        gradient_hooks = False

    assert trained(Apart).result.steps == 5
    with pytest.raises(CompositionError, match="cannot scale the loss") as caught:
        trained(Apart, model=fp16_model())
    assert caught.value.where == "model.dtype"


class WholeEngineOnTheCPU:
    gradient_hooks = True

    class world:  # noqa: N801
        device = torch.device("cpu")
