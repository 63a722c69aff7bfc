"""Scenario `progressive-prompts`: every task adds a prompt of its own to those of earlier tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.errors import CompositionError
from lorafw.types import Capability
from lorafw.types import Task as TaskKind
from lorafw_continual._sequence import TaskSequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorafw.contracts import Company, Session, Task


class ProgressivePrompts(TaskSequence):
    """Progressive Prompts (Razdaibiedina et al. 2023, arXiv:2301.12314).

    Task k trains its own prompt P_k, an equal share of the virtual tokens, for the likelihood
    p(y | [P_k, …, P_1, x]); those of earlier tasks stay as they are, to the bit. Rows of a task are
    answered with the prompts up to its own, as in the paper; those of one not yet trained with all
    that there are, before any training none. P_1 is last in the table, so that the whole of it is
    the model after the last task; what there was after each task is saved under `adapters/`. The
    paper trains a prompt through a residual MLP of its own and keeps what that gives; here its
    tokens are trained themselves.
    """

    @property
    def requires(self) -> frozenset[Capability]:
        """Some of the prompts stand before a row, of which some learn."""
        return frozenset({Capability.CHOSEN_PROMPTS})

    def check(self, company: Company) -> None:
        """Refuse what the tasks cannot share, or what would move the prompts of others.

        Raises:
            CompositionError: the number of virtual tokens is no multiple of that of tasks, what is
                not trained would decay, or rows have classes.
        """
        super().check(company)
        if company.objective.task is not TaskKind.CAUSAL_LM:
            fault = "progressive-prompts trains prompts alone, and classes need a trained head."
            raise CompositionError(fault, where="scenario", mend="Choose another scenario.")
        if company.plan.weight_decay:
            fault = "progressive-prompts leaves earlier prompts alone, and they would decay."
            raise CompositionError(fault, where="plan.weight_decay", mend="Set it to 0.")
        tokens, tasks = company.injector.virtual_tokens, len(company.tasks)
        if tokens % tasks:
            fault = f"{tasks} tasks cannot share {tokens} virtual tokens."
            mend = f"Choose a multiple of {tasks}, such as {tokens - tokens % tasks + tasks}."
            raise CompositionError(fault, where="injector", mend=mend)

    def run(self, session: Session) -> None:
        """Fit each task's prompt behind those of earlier tasks.

        Raises:
            CompositionError: something else than prompts is trained.
            TrainingError: a stage moved the prompt of an earlier task.
        """
        from lorafw_continual._own_prompts import OwnPrompts

        prompts = OwnPrompts.of(session)
        places = {task.name: at for at, task in enumerate(self.in_order(session), start=1)}
        trained: list[Task] = []

        def score(stage: str, task: Task) -> Mapping[str, float]:
            with session.model.showing(prompts.up_to(min(places[task.name], len(trained)))):
                return session.score(stage, task)

        for task in self.each_task(session, score):
            number = places[task.name]
            with prompts.learning(number):
                session.fit(task.name, task=task)
                session.save_adapter(f"adapters/{task.name}")
            trained.append(task)
        session.export()
