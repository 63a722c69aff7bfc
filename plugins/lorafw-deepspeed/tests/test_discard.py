"""A step that was given up is forgotten by every stage, and ones that cannot be taken are."""

from __future__ import annotations

import math

import pytest

from lorafw.testing.reference import global_batches
from lorafw.testing.toy_engine import accumulate, advance, opened
from lorafw.testing.values import equal
from lorafw_deepspeed.trainer import DeepSpeedTrainer


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_a_step_without_a_finite_norm_is_skipped_and_forgotten(
    stage: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(DeepSpeedTrainer(zero_stage=stage, persistence_threshold=0)) as engine:
        advance(engine, [0])
        kept = engine.state()
        with monkeypatch.context() as patched:
            backward = engine.backward
            patched.setattr(engine, "backward", lambda loss: backward(loss * math.nan))
            accumulate(engine, global_batches()[2])
        assert engine.step(learning_rate=1e-3).skipped
        assert equal(engine.state(), kept)
        advance(engine, [1])
        found = engine.state()
        engine.load_state(kept)
        advance(engine, [1])
        assert equal(found, engine.state())


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_hooks_on_parameters_see_gradients_before_deepspeed_does(stage: int) -> None:
    """Loss scaling in core divides by the scale there."""
    states = []
    for scale in (1.0, 1024.0):
        with opened(DeepSpeedTrainer(zero_stage=stage, persistence_threshold=0)) as engine:
            backward = engine.backward
            for parameter in engine._job.parameters.values():  # type: ignore[attr-defined]
                parameter.register_hook(lambda gradient, by=scale: gradient / by)
            engine.backward = lambda loss, by=scale, to=backward: to(loss * by)  # type: ignore[method-assign, misc]
            advance(engine, [0, 1])
            states.append(engine.state())
    assert equal(*states)


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_which_stages_reduce_in_every_pass(stage: int) -> None:
    with opened(DeepSpeedTrainer(zero_stage=stage)) as engine:
        assert engine.lockstep is (stage > 1)
