"""What a trainer promises: the same result every time, however it is cut, stopped or split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.contracts import Trainer
from lorafw.testing.engine import CLOSE, EngineContract, largest_difference
from lorafw.testing.promise import NotPromised, skip_unless

if TYPE_CHECKING:
    from pathlib import Path

_CUTS = ((1, "segments"), (60, "padded"), (10_000, "segments"))
"""Budgets of a micro-batch in tokens: row by row, some together, all at once."""


class TrainerContract(EngineContract):
    """Promises of a `Trainer` and of its engine; the fixture is called `trainer`."""

    def test_the_update_is_that_of_a_plain_loop_however_a_batch_is_cut(
        self, trainer: Trainer
    ) -> None:
        from lorafw.testing.reference import train_plainly
        from lorafw.testing.toy_training import started, train, training_plan
        from lorafw.types import Layout

        wanted = train_plainly()
        for budget, layout in _CUTS:
            plan = training_plan(micro_batch_tokens=budget)
            with started(trainer) as running:
                found = train(running, plan=plan, layout=Layout(layout))
            how = f"{layout} of {budget} tokens"
            off = largest_difference(found.values, wanted.values)
            assert off <= CLOSE, f"{how}: parameters are off by {off:.1e}"
            for name, figures in (("loss", wanted.losses), ("grad_norm", wanted.norms)):
                off = _worst(found.figures(name), figures)
                assert off <= 1e-5, f"{how}: {name} is off by {off:.1e}"

    def test_two_ranks_train_what_one_does(self, trainer: Trainer, tmp_path: Path) -> None:
        from lorafw.testing.ranks import registered_name, train_on_ranks
        from lorafw.testing.toy_training import started, train

        name = registered_name("trainer", trainer)
        if name is None:
            raise NotPromised("it is not registered by a name that another process could find")
        values, losses = train_on_ranks(2, name, trainer, tmp_path)
        with started(trainer) as running:
            alone = train(running)
        off = largest_difference(values, alone.values)
        assert off <= CLOSE, f"parameters differ by {off:.1e}"
        off = _worst(losses, alone.figures("loss"))
        assert off <= 1e-5, f"losses differ by {off:.1e}"

    def test_it_fits_twice_in_one_process(self, trainer: Trainer) -> None:
        from lorafw.testing.toy_training import started, train
        from lorafw.testing.values import equal

        with started(trainer) as running:
            first, second = train(running), train(running)
        assert equal(second.values, first.values), "the second fit gave something else"

    def test_it_starts_again_after_it_was_closed(self, trainer: Trainer) -> None:
        from lorafw.testing.toy_training import started, train
        from lorafw.testing.values import equal

        found = []
        for _ in range(2):
            with started(trainer) as running:
                found.append(train(running).values)
        assert equal(*found), "after a restart the fit gave something else"

    def test_frozen_parameters_stay_bit_identical(self, trainer: Trainer) -> None:
        from lorafw.testing.toy_training import started, toy_model, train
        from lorafw.testing.values import equal

        with started(trainer) as running:
            model = toy_model(running.world.device)
            module, own = model.bundle.module, {id(p) for p in model.trainable().values()}
            frozen = {n: p for n, p in module.named_parameters() if id(p) not in own}
            before = {name: p.detach().cpu().clone() for name, p in frozen.items()}
            train(running, model)
            with running.full_parameters(module):
                after = {name: p.detach().cpu().clone() for name, p in frozen.items()}
        assert before, "nothing is frozen"
        assert equal(after, before), "training changed frozen parameters"

    def test_a_kept_prefix_changes_no_bit(self, trainer: Trainer, tmp_path: Path) -> None:
        from lorafw.testing.toy_training import started, toy_model, train, training_plan
        from lorafw.testing.values import equal
        from lorafw.types import Capability

        skip_unless(trainer, Capability.WHOLE_PARAMETERS)
        plan, found = training_plan(composition="fixed"), []
        for place in (None, tmp_path):
            with started(trainer) as running:
                model = toy_model(running.world.device, top_layers=1)
                found.append(train(running, model, plan, prefix_cache=place))
        computed, kept = found
        assert kept.figures("loss") == computed.figures("loss"), "losses differ"
        assert equal(kept.values, computed.values), "parameters differ"

    def test_events_come_in_order_and_each_step_once(
        self, trainer: Trainer, tmp_path: Path
    ) -> None:
        from lorafw.testing.toy_training import started, train, training_plan, training_rows

        plan = training_plan(checkpoint_every=2, max_steps=4, evaluate_every=3)
        with started(trainer) as running:
            done = train(running, plan=plan, eval_rows=training_rows()[:3], checkpoints=tmp_path)
        told = [(event, payload.get("step")) for event, payload in done.events if event != "notice"]
        expected = [
            *(("fit_start", None), ("evaluation_end", 0), ("step_end", 1), ("step_end", 2)),
            *(("checkpoint_saved", 2), ("step_end", 3), ("evaluation_end", 3), ("step_end", 4)),
            *(("checkpoint_saved", 4), ("evaluation_end", 4), ("fit_end", None)),
        ]
        assert told == expected, f"events were {told}"
        assert done.figures("learning_rate") == [plan.learning_rate] * 4

    def test_a_resumed_run_ends_as_an_uninterrupted_one_bit_for_bit(
        self, trainer: Trainer, tmp_path: Path
    ) -> None:
        from lorafw.testing.toy_training import STEPS, started, train, training_plan
        from lorafw.testing.values import equal

        with started(trainer) as running:
            whole = train(running)
        with started(trainer) as running:
            train(running, plan=training_plan(max_steps=2), checkpoints=tmp_path)
        with started(trainer) as running:
            rest = train(running, checkpoints=tmp_path, resume=True)
        assert len(rest.figures("loss")) == STEPS - 2, "it did not go on at the third step"
        assert rest.figures("loss") == whole.figures("loss")[2:], "losses differ after resuming"
        assert equal(rest.values, whole.values), "parameters differ after resuming"


def _worst(found: list[float], wanted: list[float]) -> float:
    """The largest relative difference of a figure over the steps."""
    assert len(found) == len(wanted), f"{len(found)} steps were told of, not {len(wanted)}"
    return max(abs(one - other) / other for one, other in zip(found, wanted, strict=True))
