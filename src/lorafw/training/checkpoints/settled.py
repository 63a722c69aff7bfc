"""What was settled before a run began: its checkpoints keep it, and a resume takes it over.

It changes no update, so it is no part of the fingerprint. But rounding follows from how batches are
cut: only with the same budget does a resumed run give the same bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorafw.contracts.plan import TrainPlan
from lorafw.training.checkpoints.files import ABOUT
from lorafw.training.checkpoints.places import newest_checkpoint, step_of

_OPEN = {"activations": ("auto",), "micro_batch_tokens": ("auto", "calibrate")}
"""Options of a plan that can be left open, with the words that leave them so."""


def settled_options(plan: TrainPlan) -> dict[str, Any]:
    """These options of a plan, those that were never settled as they are understood."""
    activations = "keep" if plan.activations == "auto" else plan.activations
    return {"activations": activations, "micro_batch_tokens": plan.token_budget}


def kept_in(folder: Path) -> Mapping[str, Any]:
    """What the newest checkpoint of any stage says of them; nothing where there is none to say it.

    One that cannot be read says nothing here: the resume itself tells what is wrong with it.
    """
    stages = folder.iterdir() if folder.is_dir() else ()
    newest = [place for stage in stages if (place := newest_checkpoint(stage)) is not None]
    if not newest:
        return {}
    try:
        about = json.loads((max(newest, key=step_of) / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    kept = about.get("settled") if isinstance(about, Mapping) else None
    return kept if isinstance(kept, Mapping) else {}


def with_kept(plan: TrainPlan, kept: Mapping[str, Any]) -> TrainPlan:
    """The plan, with what was kept in the place of what it leaves open."""
    news = {name: kept[name] for name, words in _OPEN.items() if name in kept}
    left = {name: value for name, value in news.items() if getattr(plan, name) in _OPEN[name]}
    return plan.model_copy(update=left)
