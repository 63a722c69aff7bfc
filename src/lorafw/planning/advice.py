"""What could be chosen better, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lorafw.contracts.plan import MICRO_BATCH_TOKENS, TrainPlan
from lorafw.planning.forecast import Forecast
from lorafw.planning.rank_memory import RankMemory
from lorafw.planning.settling import LADDER, ROOM
from lorafw.types import Layout

MUCH_PADDING = 0.2
Policies = Mapping[str, int | None]


def advice(
    forecast: Forecast, plan: TrainPlan, available: int | None, policies: Policies
) -> list[str]:
    """Sentences for the user, the most pressing first.

    Args:
        forecast: of the run.
        plan: as it was given.
        available: bytes that a rank may take; None if nobody knows.
        policies: what a rank takes under each policy of activations; None where that is unknown.
    """
    found = [*_about_padding(forecast, plan)]
    if forecast.memory is None or available is None:
        return found
    return [*_about_memory(forecast, forecast.memory, plan, available, policies), *found]


def fitting_budget(forecast: Forecast, memory: RankMemory, available: int) -> int:
    """Tokens of the largest micro-batch that fits; activations grow in step with its cells."""
    each = memory.growing / forecast.portions.largest_cells
    return max(0, int((available * ROOM - memory.resting) / each))


def _about_memory(
    forecast: Forecast,
    memory: RankMemory,
    plan: TrainPlan,
    available: int,
    policies: Policies,
) -> Iterator[str]:
    fits = fitting_budget(forecast, memory, available)
    enough = [way for way in LADDER if (policies.get(way) or available) <= ROOM * available]
    if fits < forecast.portions.largest_cells:
        if enough:
            yield f"It does not fit: set plan.activations: {enough[0]}."
        yield _smaller(fits) if fits else _shared(forecast)
    elif enough and LADDER.index(enough[0]) < LADDER.index(forecast.activations):
        yield f"There is room to spare: plan.activations: {enough[0]} is faster."
    elif _has_room_for_more(forecast, plan, fits):
        yield (
            f"There is room to spare: plan.micro_batch_tokens: {MICRO_BATCH_TOKENS} needs fewer "
            "passes, and calibrate tells how many are best."
        )


def _has_room_for_more(forecast: Forecast, plan: TrainPlan, fits: int) -> bool:
    """Whether a larger budget would be of use: beyond the usual one it hardly ever is."""
    small = plan.token_budget < MICRO_BATCH_TOKENS <= fits
    return small and forecast.portions.micro_batches > 1


def _smaller(fits: int) -> str:
    return (
        f"plan.micro_batch_tokens: {_round(fits)} fits; the result stays the same. A row that is "
        "longer goes alone all the same."
    )


def _shared(forecast: Forecast) -> str:
    if forecast.world_size > 1:
        return "What does not grow with the batch is too much: share weights, as by ZeRO stage 3."
    return (
        "What does not grow with the batch is too much: hold the weights in fewer bits "
        "(model.dtype, model.quantize), or share them among several ranks."
    )


def _about_padding(forecast: Forecast, plan: TrainPlan) -> Iterator[str]:
    if forecast.layout is not Layout.PADDED or forecast.portions.padding < MUCH_PADDING:
        return
    share = f"{forecast.portions.padding:.0%} of all cells are padding"
    if plan.layout == "padded":
        yield f"{share}: leave plan.layout at auto if the model can take rows end to end."
    else:
        yield f"{share}: a smaller plan.micro_batch_tokens puts rows of like length together."


def _round(tokens: int) -> int:
    """Two digits are as many as the estimate is good for."""
    scale: int = 10 ** max(0, len(str(tokens)) - 2)
    return max(1, tokens // scale * scale)
