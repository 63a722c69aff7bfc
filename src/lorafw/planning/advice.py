"""What could be chosen better, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from lorafw.contracts.plan import TrainPlan
from lorafw.planning.forecast import Forecast
from lorafw.planning.rank_memory import RankMemory
from lorafw.types import Layout

MUCH_PADDING = 0.2
ROOM = 0.9
"""Share of the memory that is planned with; the rest is for what no plan knows of."""


def advice(forecast: Forecast, plan: TrainPlan, available: int | None) -> list[str]:
    """Sentences for the user, the most pressing first.

    Args:
        forecast: of the run.
        plan: that it was made for.
        available: bytes that a rank may take; None if nobody knows.
    """
    found = [*_about_padding(forecast, plan)]
    if forecast.memory is None or available is None:
        return found
    return [*_about_memory(forecast, forecast.memory, plan, available), *found]


def fitting_budget(forecast: Forecast, memory: RankMemory, available: int) -> int:
    """Tokens of the largest micro-batch that fits; activations grow in step with its cells."""
    each = (memory.activations + memory.head) / forecast.portions.largest_cells
    return max(0, int((available * ROOM - memory.resting) / each))


def _about_memory(
    forecast: Forecast, memory: RankMemory, plan: TrainPlan, available: int
) -> Iterator[str]:
    fits = fitting_budget(forecast, memory, available)
    cells = forecast.portions.largest_cells
    if fits < cells:
        if not plan.gradient_checkpointing:
            yield "It does not fit: set plan.gradient_checkpointing: true."
        yield _smaller(fits) if fits else _shared(forecast)
    elif plan.gradient_checkpointing and fits > 16 * cells:
        yield "There is room to spare: without plan.gradient_checkpointing it is faster."
    elif forecast.portions.micro_batches > 1 and fits >= 2 * plan.micro_batch_tokens:
        yield (
            f"There is room to spare: plan.micro_batch_tokens: {_round(fits)} needs fewer passes."
        )


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
