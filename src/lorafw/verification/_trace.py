"""What a run showed, and how far it is from what another one did."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from safetensors.torch import load_file, save_file
from torch import Tensor

from lorafw.errors import TrainingError

_FAINT = 1e-3
"""Gradients smaller than this share of the largest are measured against that share."""


@dataclass
class Trace:
    """What a run of a few steps showed.

    Attributes:
        losses: of every step.
        gradients: of the first step, whole and unclipped, by canonical name; empty where the
            trainer does not show them.
        values: the adapter after the last step.
        figures: of held-out rows, before the first step and after the last.
    """

    losses: list[float] = field(default_factory=list)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Tensor] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Leave it in a folder."""
        tensors = {f"value/{name}": value.contiguous() for name, value in self.values.items()}
        tensors |= {f"gradient/{name}": g.contiguous() for name, g in self.gradients.items()}
        save_file(tensors, folder / "tensors.safetensors")
        numbers = {"losses": self.losses, "figures": self.figures}
        (folder / "numbers.json").write_text(json.dumps(numbers), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Trace:
        """What `save` left."""
        tensors = load_file(folder / "tensors.safetensors")
        kinds: dict[str, dict[str, Tensor]] = {"gradient": {}, "value": {}}
        for key, tensor in tensors.items():
            kind, _, name = key.partition("/")
            kinds[kind][name] = tensor
        numbers = json.loads((folder / "numbers.json").read_text(encoding="utf-8"))
        return cls(gradients=kinds["gradient"], values=kinds["value"], **numbers)


def differences(found: Trace, wanted: Trace) -> dict[str, float | None]:
    """How far one run is from another, by what is compared.

    Returns:
        adapter: largest absolute difference of the values.
        gradient: largest norm of a tensor's difference, relative to its norm; None where one of
            the two trainers does not show gradients.
        loss: largest difference of a step's loss, relative where it is above 1.
        figures: largest difference of a held-out figure, the same way.
        held_out_loss: that of the loss alone.

    Raises:
        TrainingError: one has tensors or steps that the other has not.
    """
    losses = [{str(step): loss for step, loss in enumerate(t.losses)} for t in (found, wanted)]
    figures = {name: _figure(*pair) for name, pair in _pairs(found.figures, wanted.figures)}
    return {
        "adapter": max(_absolute(*pair) for _, pair in _pairs(found.values, wanted.values)),
        "gradient": _gradient(found.gradients, wanted.gradients),
        "loss": max(_figure(*pair) for _, pair in _pairs(*losses)),
        "figures": max(figures.values()),
        "held_out_loss": max(off for name, off in figures.items() if name.endswith("loss")),
    }


V = TypeVar("V")


def _pairs(found: Mapping[str, V], wanted: Mapping[str, V]) -> Iterator[tuple[str, tuple[V, V]]]:
    if other := sorted(found.keys() ^ wanted.keys()):
        raise TrainingError(f"{other[0]} is there on one side only, of {len(other)} such.")
    return ((name, (found[name], value)) for name, value in wanted.items())


def _absolute(found: Tensor, wanted: Tensor) -> float:
    return _number(float((found.double() - wanted.double()).abs().max()))


def _figure(found: float, wanted: float) -> float:
    return _number(abs(found - wanted) / max(1.0, abs(wanted)))


def _gradient(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> float | None:
    if not (found and wanted):
        return None
    norms = {name: float(gradient.double().norm()) for name, gradient in wanted.items()}
    faint = max(norms.values()) * _FAINT
    return max(
        _relative(one, other, max(norms[name], faint))
        for name, (one, other) in _pairs(found, wanted)
    )


def _relative(found: Tensor, wanted: Tensor, norm: float) -> float:
    off = float((found.double() - wanted.double()).norm())
    return _number(off / norm if norm else off)


def _number(value: float) -> float:
    """What is not a number is as far off as can be: `max` would pass it by."""
    return math.inf if math.isnan(value) else value
