"""The fingerprint of a run: what its result depends on, each part apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lorafw.contracts.component import Component
from lorafw.contracts.dataset import DatasetAdapter
from lorafw.contracts.encoder import Encoder
from lorafw.contracts.injector import AdaptedModel
from lorafw.contracts.objective import Objective
from lorafw.contracts.plan import TrainPlan
from lorafw.contracts.scenario import Scenario
from lorafw.data.cache.part_identity import dataset_identity, encoder_identity
from lorafw.inference.provenance import tokenizer_hash
from lorafw.types import Tokenizer

_SAME_UPDATE = {
    "micro_batch_tokens",
    "layout",
    "activations",
    "allocator",
    "evaluate_every",
    "checkpoint_every",
    "keep_checkpoints",
    "early_stopping_patience",
}
"""Options of the plan that may change on resume: they do not change what a step learns."""


def of_rows(dataset: DatasetAdapter, data: str, held_out: str | None) -> dict[str, Any]:
    """What is learned from.

    Args:
        dataset: where rows come from.
        data: digest of the encoded training rows.
        held_out: that of the held-out rows, if they decide about anything.
    """
    files = _digest(dataset_identity(dataset, dataset.origins()))
    return {"data": data, "files": files, **({} if held_out is None else {"held-out": held_out})}


def of_text(
    encoder: Encoder, tokenizer: Tokenizer, of_tasks: Mapping[str, Encoder] | None = None
) -> dict[str, Any]:
    """How text becomes rows.

    Args:
        encoder: the run's.
        tokenizer: of its model.
        of_tasks: encoders by task, of those that have one of their own.
    """
    identity = encoder_identity(encoder)
    chat = {"chat_template": _digest(tokenizer.chat_template)} if tokenizer.chat_template else {}
    template = {"use": identity["class"], **identity["options"], **chat}
    if of_tasks:
        template["tasks"] = {task: encoder_identity(own) for task, own in of_tasks.items()}
    return {"tokenizer": tokenizer_hash(tokenizer), "template": template}


def of_model(model: AdaptedModel, objective: Objective) -> dict[str, Any]:
    """What learns, and what for."""
    return {
        "base": model.bundle.base,
        "adapter": _plain(asdict(model.spec)),
        "objective": {"use": _class(objective), **objective.model_dump(mode="json")},
    }


def of_plan(plan: TrainPlan) -> dict[str, Any]:
    """How it learns; what changes no update is left out."""
    decided = {"evaluate_every"} if plan.decides_by_evaluation else set()
    return {"plan": plan.model_dump(mode="json", exclude=_SAME_UPDATE - decided)}


def of_scenario(scenario: Scenario) -> dict[str, Any]:
    """Which method trains a list of tasks, and how; nothing for a scenario of one data set."""
    if not scenario.takes_tasks:
        return {}
    return {"scenario": {"class": _class(scenario), **scenario.model_dump(mode="json")}}


def _class(part: Component) -> str:
    return f"{type(part).__module__}:{type(part).__qualname__}"


def _plain(values: Mapping[str, Any]) -> Any:
    """The values as JSON gives them back."""
    return json.loads(json.dumps(values, default=str))


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()
