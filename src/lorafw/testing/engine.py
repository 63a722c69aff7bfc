"""What the engine of a trainer promises: exact arithmetic, and a state that can move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.contracts import Trainer
from lorafw.testing.component import ComponentContract
from lorafw.testing.promise import NotPromised, skip_unless
from lorafw.types import Capability

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

CLOSE = 5e-6
"""Largest difference of a parameter that rounding explains, after a few steps at rate 1e-3."""


class EngineContract(ComponentContract, kind="trainer"):
    """Promises of an `Engine`; the fixture is called `trainer` and opens it, alone in its world."""

    def test_gradients_are_whole_unscaled_and_unclipped(self, trainer: Trainer) -> None:
        from lorafw.testing.reference import global_batches, train_plainly
        from lorafw.testing.toy_engine import accumulate, opened
        from lorafw.testing.values import distance

        skip_unless(trainer, Capability.WHOLE_GRADIENTS)
        wanted = train_plainly().gradients[0]
        with opened(trainer) as engine:
            accumulate(engine, global_batches()[0])
            found = engine.gradients()
        assert found.keys() == wanted.keys(), "gradients of some parameters are missing"
        for name, gradient in wanted.items():
            off = distance(found[name].cpu(), gradient)
            assert off <= 1e-5, f"{name} is off by {off:.1e}"

    def test_a_step_goes_along_the_gradients_that_were_set(self, trainer: Trainer) -> None:
        from lorafw.testing.reference import global_batches
        from lorafw.testing.toy_engine import accumulate, opened, values_of

        skip_unless(trainer, Capability.SETTABLE_GRADIENTS)
        first, second = global_batches()[:2]
        with opened(trainer) as engine:
            accumulate(engine, second)
            others = engine.gradients()
            wanted = engine.step(learning_rate=1e-3), values_of(engine)
        with opened(trainer) as engine:
            accumulate(engine, first)
            engine.set_gradients(others)
            found = engine.step(learning_rate=1e-3), values_of(engine)
        off = abs(found[0].grad_norm / wanted[0].grad_norm - 1)
        assert off <= 1e-5, f"the norm is not that of the gradients that were set: {off:.1e}"
        off = largest_difference(found[1], wanted[1])
        assert off <= CLOSE, f"parameters went elsewhere, by {off:.1e}"

    def test_the_gradient_norm_is_the_global_one_before_clipping(self, trainer: Trainer) -> None:
        from lorafw.testing.reference import train_plainly
        from lorafw.testing.toy_engine import advance, opened
        from lorafw.testing.toy_training import CLIP, training_plan

        wanted = train_plainly().norms[0]
        for limit in (None, CLIP, wanted / 100):
            with opened(trainer, training_plan(max_grad_norm=limit)) as engine:
                (outcome,) = advance(engine, [0])
            assert not outcome.skipped, "the step was skipped"
            off = abs(outcome.grad_norm - wanted) / wanted
            assert off <= 1e-5, f"clipped at {limit}: {outcome.grad_norm} is not {wanted}"

    def test_the_learning_rate_is_the_one_given(self, trainer: Trainer) -> None:
        """The first step of AdamW moves by the learning rate wherever gradients exceed eps."""
        from lorafw.testing.reference import train_plainly
        from lorafw.testing.toy_engine import advance, opened, values_of
        from lorafw.testing.toy_training import training_plan

        gradients = train_plainly().gradients[0]
        plan = training_plan(learning_rate=0.1, weight_decay=0, eps=1e-12, max_grad_norm=None)
        with opened(trainer, plan) as engine:
            before = values_of(engine)
            advance(engine, [0], learning_rate=2e-3)
            after = values_of(engine)
        for name, gradient in gradients.items():
            steps = (before[name] - after[name])[gradient.abs() > 1e-4]
            off = float((steps.abs() - 2e-3).abs().max())
            assert off <= 2e-6, f"{name} moved by 2.0e-3 ± {off:.1e}"

    def test_the_state_survives_a_round_trip_bit_for_bit(self, trainer: Trainer) -> None:
        from lorafw.testing.toy_engine import advance, opened
        from lorafw.testing.values import equal

        with opened(trainer) as engine:
            advance(engine, [0, 1])
            kept = engine.state()
            advance(engine, [2])
            expected = engine.state()
            assert not equal(expected, kept), "a step changed nothing"
            engine.load_state(kept)
            assert equal(engine.state(), kept), "the state read is not the one loaded"
            advance(engine, [2])
            assert equal(engine.state(), expected), "the same step gave another result"

    def test_a_step_given_up_leaves_nothing_behind(self, trainer: Trainer) -> None:
        """Between micro-batches, before the update, and when memory ran out in either pass."""
        from lorafw.testing.giving_up import check_giving_up

        check_giving_up(trainer)

    def test_gradients_that_are_not_finite_update_nothing(self, trainer: Trainer) -> None:
        from lorafw.testing.reference import global_batches
        from lorafw.testing.toy_engine import accumulate, advance, opened
        from lorafw.testing.values import equal

        with opened(trainer) as engine:
            advance(engine, [0])
            kept = engine.state()
            accumulate(engine, global_batches()[1], factor=float("inf"))
            outcome = engine.step(learning_rate=1e-3)
            assert outcome.skipped, "the outcome does not say that the step was skipped"
            assert equal(engine.state(), kept), "the step changed something"
            advance(engine, [1])
            found = engine.state()
            engine.load_state(kept)
            advance(engine, [1])
            assert equal(engine.state(), found), "the next step is another one"

    def test_its_state_moves_to_another_engine_and_back(self, trainer: Trainer) -> None:
        from lorafw.testing.toy_engine import advance, opened, values_of
        from lorafw.testing.values import equal

        other = _other_trainer()
        with opened(trainer) as engine:
            advance(engine, [0, 1])
            first = engine.state()
            advance(engine, [2, 3])
            expected = values_of(engine)
        with opened(other) as engine:
            engine.load_state(first)
            advance(engine, [2])
            second = engine.state()
        with opened(trainer) as engine:
            engine.load_state(second)
            assert equal(engine.state(), second), "the state read is not the one loaded"
            advance(engine, [3])
            found = values_of(engine)
        off = largest_difference(found, expected)
        assert off <= CLOSE, f"two steps in one engine, or one in each: {off:.1e} apart"

    def test_opened_again_it_computes_the_same(self, trainer: Trainer) -> None:
        from lorafw.testing.toy_engine import advance, opened
        from lorafw.testing.values import equal

        states = []
        for _ in range(2):
            with opened(trainer) as engine:
                advance(engine, [0, 1])
                states.append(engine.state())
        assert equal(*states), "the second engine of this process computes something else"


def _other_trainer() -> Trainer:
    from lorafw.assembly.registry import Registry

    if "ddp" not in Registry().names("trainer"):
        raise NotPromised("trainer 'ddp' is not installed, so there is nobody to exchange with")
    other = Registry().load("trainer", "ddp")()
    assert isinstance(other, Trainer)
    return other


def largest_difference(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> float:
    """The largest absolute difference over all tensors."""
    assert found.keys() == wanted.keys(), "there are other tensors than expected"
    return max(float((found[name] - value).abs().max()) for name, value in wanted.items())
