"""What an evaluation found, and its form as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lorafw import __version__
from lorafw.figures.comparison import Compared
from lorafw.figures.resampling import LEVEL, Estimate


@dataclass(frozen=True, slots=True)
class Line:
    """One figure.

    Attributes:
        metric: name of the metric it is of.
        figure: its own name.
        better: which of two values is the better, `lower` or `higher`.
        compared: its values.
    """

    metric: str
    figure: str
    better: str
    compared: Compared

    @property
    def verdict(self) -> str:
        """`better` or `worse` than the base, where chance does not explain the difference."""
        difference = self.compared.difference
        if difference is None or not difference.sure:
            return ""
        return "better" if (difference.value > 0) == (self.better == "higher") else "worse"


@dataclass(frozen=True, slots=True)
class Settings:
    """What figures depend on besides model and rows.

    Attributes:
        max_new_tokens: longest answer, in tokens.
        resamples: how many were drawn for intervals.
        seed: of the draws.
    """

    max_new_tokens: int
    resamples: int
    seed: int


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found.

    Attributes:
        model: path of the model.
        tuned: whether it has an adapter; its column is then called so.
        data: what the rows are called.
        rows: how many were measured.
        left_out: how many have nothing to measure.
        metrics: options of every metric, by name.
        lines: the figures, in the order of the metrics.
        predictions: of every row what was asked, what was wanted, and what each model did.
        labels: names of the classes.
        confusion: of each model how often a row of class i was taken for class j; classes only.
    """

    model: str
    tuned: bool
    data: str
    rows: int
    left_out: int
    settings: Settings
    metrics: Mapping[str, Mapping[str, Any]]
    lines: Sequence[Line]
    predictions: Sequence[Mapping[str, Any]]
    labels: Sequence[str] = ()
    confusion: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the model's own column is called."""
        return "adapter" if self.tuned else "model"

    @property
    def has_base(self) -> bool:
        """Whether the base was asked too."""
        return any(line.compared.base is not None for line in self.lines)

    def figures(self) -> dict[str, float]:
        """The model's figures, by name."""
        return {line.figure: line.compared.model.value for line in self.lines}

    def as_json(self) -> dict[str, Any]:
        """All but the predictions, as JSON values."""
        return {
            "lorafw": __version__,
            "model": self.model,
            "data": self.data,
            "rows": self.rows,
            "left_out": self.left_out,
            "max_new_tokens": self.settings.max_new_tokens,
            "bootstrap": {
                "resamples": self.settings.resamples,
                "seed": self.settings.seed,
                "level": LEVEL,
            },
            "metrics": {name: dict(options) for name, options in self.metrics.items()},
            "figures": [self._line(line) for line in self.lines],
            **({"labels": list(self.labels)} if self.confusion else {}),
            **({"confusion": dict(self.confusion)} if self.confusion else {}),
        }

    def _line(self, line: Line) -> dict[str, Any]:
        found, compared = line.compared.model, line.compared
        record = {"metric": line.metric, "figure": line.figure, "better": line.better}
        estimates = {"base": compared.base, self.name: found, "difference": compared.difference}
        return {**record, **{k: _values(v) for k, v in estimates.items() if v is not None}}


def _values(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
