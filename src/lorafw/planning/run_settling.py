"""Settling the plan of a run that is about to begin, the same on every rank."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lorafw.assembly.compose import Parts
from lorafw.contracts.plan import TrainPlan
from lorafw.contracts.trainer import Emit, RunningTrainer, TrainJob
from lorafw.planning.advice import fitting_budget
from lorafw.planning.budget_trial import try_budgets
from lorafw.planning.forecast import Forecast, Rows, forecast
from lorafw.planning.foresight import WORTH, Foresight
from lorafw.planning.process_memory import available_to_rank
from lorafw.planning.settling import settle
from lorafw.training.checkpoints.settled import with_kept


class RunSettling:
    """Rank 0 decides, by what is free on its machine; the others wait, and do the same.

    Args:
        parts: of the run; their plan may leave things open.
        rows: that it trains on.
        running: the connected trainer.
        emit: where sentences for the user go.

    Attributes:
        foresight: what was foretold, on rank 0.
    """

    def __init__(self, parts: Parts, rows: Rows, running: RunningTrainer, emit: Emit) -> None:
        self._parts, self._rows, self._running, self._emit = parts, rows, running, emit
        self._room: int | None = None
        self.foresight: Foresight | None = None

    def settle(self, kept: Mapping[str, Any]) -> TrainPlan:
        """The plan without anything open but a trial; collective.

        Args:
            kept: what a checkpoint that is continued says of what is open.
        """
        if self._running.world.rank == 0:
            local = int(os.environ.get("LOCAL_WORLD_SIZE", self._running.world.world_size))
            self._room = available_to_rank(self._running.world.device, local)
            settled = settle(with_kept(self._parts.plan, kept), self._foretold, self._room)
            self._parts = replace(self._parts, plan=settled.plan)
            self.foresight = Foresight.of(settled.forecast)
            if settled.told:
                self._emit("notice", message=settled.told)
        return self._shared()

    def calibrate(self, job: TrainJob) -> TrainPlan:
        """The plan with the budget that a trial on rank 0 finds fastest; collective.

        Args:
            job: with a fresh adapter; no engine is open yet.
        """
        if self.foresight is not None:
            world = self._running.world
            self._emit("stage_start", stage="calibration")
            trial = try_budgets(job, world.device, world.world_size, self._largest_budget())
            plan = job.plan.model_copy(update={"micro_batch_tokens": trial.chosen})
            self._parts = replace(self._parts, plan=plan)
            self.foresight = self.foresight.after_trial(self._foretold(plan))
            self._emit("notice", message=str(trial))
        return self._shared()

    def _shared(self) -> TrainPlan:
        plan: TrainPlan = self._running.share(self._parts.plan)
        self._parts = replace(self._parts, plan=plan)
        return plan

    def _foretold(self, plan: TrainPlan) -> Forecast:
        parts = replace(self._parts, plan=plan)
        return forecast(parts, self._rows, self._running.world.world_size, least=WORTH)

    def _largest_budget(self) -> int:
        """What fits by the forecast; where there is none, what is usual."""
        assert self.foresight is not None
        found = self.foresight.forecast
        if found.memory is None or self._room is None:
            return found.micro_batch_tokens
        return max(found.micro_batch_tokens, fitting_budget(found, found.memory, self._room))
