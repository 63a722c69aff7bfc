"""What a plan leaves open, settled once before a run begins: what is kept, and the budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lorafw.contracts.plan import MICRO_BATCH_TOKENS, Activations, TrainPlan
from lorafw.planning.forecast import Forecast
from lorafw.training.guards.room import readable

ROOM = 0.9
"""Share of the memory that is planned with; the rest is for what no plan knows of."""
LESS_TOKENS = 2048
"""The budget where memory is short; smaller ones cost more time than computing MLPs again."""
LADDER: tuple[Activations, ...] = ("keep", "recompute-mlp", "checkpoint")
"""Each needs less memory, and more time, than the one before."""

Foretell = Callable[[TrainPlan], Forecast]


@dataclass(frozen=True, slots=True)
class Settled:
    """A plan with nothing left open but what only a trial can tell.

    Attributes:
        plan: as it was, its activations and token budget settled; `calibrate` stands for a trial
            of budgets up to what fits.
        forecast: of the run.
        told: why it is not what it usually is, a sentence; empty where it is.
    """

    plan: TrainPlan
    forecast: Forecast
    told: str = ""


def settle(plan: TrainPlan, foretell: Foretell, available: int | None) -> Settled:
    """Choose the fastest of what is left open that fits the memory at hand, or else the smallest.

    Every choice gives the same update, so the memory there happens to be changes no result beyond
    rounding. Where nobody knows what a run takes, or what there is, it is the fastest.

    Args:
        plan: what is not open in it stays.
        foretell: the forecast of a plan.
        available: bytes that a rank may take; None if nobody knows.
    """
    usual, *others = open_choices(plan)
    first = foretell(usual)
    if not others or first.memory is None or available is None or fits(first, available):
        return Settled(_with_trial(plan, usual), first)
    chosen, found = usual, first
    for other in others:
        told = foretell(other)
        if told.memory is None:  # this model cannot be computed again so
            continue
        if _peak(told) < _peak(found):
            chosen, found = other, told
        if fits(found, available):
            break
    why = _reason(usual, first, chosen, found, available)
    return Settled(_with_trial(plan, chosen), found, why)


def open_choices(plan: TrainPlan) -> Iterator[TrainPlan]:
    """Plans with nothing left open, the fastest first, each in need of less memory than the last.

    Fewer tokens cost a few hundredths of the time, MLPs that are computed again about a fifth.
    """
    is_set = isinstance(plan.micro_batch_tokens, int)
    budgets = [plan.token_budget] if is_set else [MICRO_BATCH_TOKENS, LESS_TOKENS]
    policies = LADDER if plan.activations == "auto" else [plan.activations]
    for budget in budgets:
        yield settled_plan(plan, policies[0], budget)
    for policy in policies[1:]:
        yield settled_plan(plan, policy, budgets[-1])


def settled_plan(plan: TrainPlan, activations: Activations, tokens: int) -> TrainPlan:
    """The plan with these two options."""
    return plan.model_copy(update={"activations": activations, "micro_batch_tokens": tokens})


def fits(forecast: Forecast, available: int) -> bool:
    """Whether a run that is known to take so much has room."""
    return _peak(forecast) <= ROOM * available


def _with_trial(given: TrainPlan, settled: TrainPlan) -> TrainPlan:
    """What only a trial can tell is left open."""
    if given.micro_batch_tokens != "calibrate":
        return settled
    return settled.model_copy(update={"micro_batch_tokens": "calibrate"})


def _peak(forecast: Forecast) -> int:
    assert forecast.memory is not None
    return forecast.memory.total


def _reason(
    usual: TrainPlan, first: Forecast, chosen: TrainPlan, found: Forecast, available: int
) -> str:
    names = ("activations", "micro_batch_tokens")
    news = ", ".join(
        f"plan.{name}: {getattr(chosen, name)}"
        for name in names
        if getattr(chosen, name) != getattr(usual, name)
    )
    had = f"{readable(available)} of memory are free, and {readable(_peak(first))} are needed"
    if fits(found, available):
        return f"{had} as it is; so {news}, which needs {readable(_peak(found))}."
    still = f"even with {news} it is {readable(_peak(found))}" if news else "nothing needs less"
    return f"{had}; {still}. It will hardly fit: see `lorafw plan`."
