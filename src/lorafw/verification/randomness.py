"""What of a config is random per split, and the same config without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from lorafw.contracts.component import Component
from lorafw.contracts.injector import LoRAInjector
from lorafw.contracts.model import ModelBuilder
from lorafw.contracts.plan import TrainPlan
from lorafw.types import Capability

C = TypeVar("C", bound=Component)

ROUTER_LOSS = "aux_loss_coef"
"""The option by which a model weighs its routers' loss."""


def settled_injector(injector: LoRAInjector) -> tuple[LoRAInjector, list[str]]:
    """The injector without its dropout, and sentences that say what was switched off.

    It may still declare `SPLIT_DEPENDENT`: then what it draws cannot be switched off by an option.
    """
    if Capability.SPLIT_DEPENDENT not in injector.capabilities:
        return injector, []
    changes = _dropouts(injector)
    sentences = [
        f"injector.{name} draws its numbers per rank and micro-batch: set to 0 here."
        for name in changes
    ]
    settled = _with(injector, changes)
    if Capability.SPLIT_DEPENDENT in settled.capabilities:
        sentences.append("The injector draws numbers per split that no option switches off.")
    return settled, sentences


def settled_model(builder: ModelBuilder) -> tuple[ModelBuilder, list[str]]:
    """The model without a router loss that looks at whole micro-batches."""
    if ROUTER_LOSS not in type(builder).model_fields:
        return builder, ["The model depends on the split, and no option of it switches that off."]
    sentence = f"model.{ROUTER_LOSS}: the routers' loss is one of whole micro-batches: 0 here."
    return _with(builder, {ROUTER_LOSS: 0.0}), [sentence]


def what_stays(plan: TrainPlan) -> list[str]:
    """What is random in a plan, but the same for every split."""
    if plan.neftune_alpha is None:
        return []
    return ["plan.neftune_alpha: the noise is a hash of seed, step and row; it stays."]


def _dropouts(injector: LoRAInjector) -> dict[str, Any]:
    """Options that are dropouts and above 0, set to 0; those inside a mapping as well."""
    changes: dict[str, Any] = {}
    for name, value in injector.model_dump().items():
        if isinstance(value, Mapping) and any(_drops(*item) for item in value.items()):
            changes[name] = {key: 0.0 if _drops(key, v) else v for key, v in value.items()}
        elif _drops(name, value):
            changes[name] = 0.0
    return changes


def _drops(name: object, value: object) -> bool:
    return str(name).endswith("dropout") and isinstance(value, int | float) and value > 0


def _with(part: C, changes: Mapping[str, Any]) -> C:
    return type(part).from_mapping({**part.model_dump(), **changes}, where="verify")
