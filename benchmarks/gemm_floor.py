"""The time below which no LoRA step of a shape can fall: its frozen matrix products alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.rows import ROWS_PER_STEP, Row
from benchmarks.shapes import Shape
from lorafw.contracts import TrainPlan
from lorafw.training.batches import BatchPlan
from lorafw.types import IGNORE_INDEX, Layout


@dataclass(frozen=True, slots=True)
class Portion:
    """A micro-batch as matrix products see it: tokens in the layers, labels at the head."""

    tokens: int
    labels: int


def steps_of(rows: Sequence[Row]) -> list[list[Portion]]:
    """The micro-batches of every step."""
    starts = range(0, len(rows), ROWS_PER_STEP)
    return [portions(rows[start : start + ROWS_PER_STEP]) for start in starts]


def portions(rows: Sequence[Row]) -> list[Portion]:
    """The micro-batches that lorafw cuts the rows of one step into by default, packed."""
    lengths = [len(row.ids) for row in rows]
    plan = BatchPlan(lengths, len(rows), TrainPlan().token_budget, Layout.SEGMENTS, 0)
    return [_portion([rows[number] for number in batch.rows]) for batch in plan.sweep(0, 1)]


def _portion(rows: Sequence[Row]) -> Portion:
    """The first token of a row is nobody's target, and a prompt is never empty."""
    labels = sum(label != IGNORE_INDEX for row in rows for label in row.labels[1:])
    return Portion(sum(len(row.ids) for row in rows), labels)


def flops(shape: Shape, layers: int, portion: Portion) -> int:
    """Operations of a portion's products: forward and with respect to the input, not the weights.

    `4 * parameters of the layers' linears` for each token, `4 * vocabulary * width` for each label.
    """
    per_layer = sum(width * height for width, height in shape.linears)
    head = shape.vocabulary * shape.hidden
    return 4 * (layers * per_layer * portion.tokens + head * portion.labels)


def told(shape: Shape, layers: int, steps: Sequence[Sequence[Portion]], seconds: float) -> str:
    """What the products of steps are, and how fast they were, as a sentence."""
    work = sum(flops(shape, layers, portion) for step in steps for portion in step)
    tokens = sum(portion.tokens for step in steps for portion in step)
    return (
        f"GEMM floor: {work / tokens / 1e9:.3g} GFLOP for each token, "
        f"{work / seconds / 1e12:.3g} TFLOP/s."
    )
