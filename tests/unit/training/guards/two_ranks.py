"""One of two ranks of faulty trainings; rank by rank it leaves what it saw as JSON.

Usage: python -m tests.unit.training.guards.two_ranks FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from tests.unit.training.faulty_engines import Careless, Cramped, Poisoned, Steep
from tests.unit.training.on_engine import OnEngine, notices

from lorafw.contracts import RunningTrainer
from lorafw.errors import LorafwError
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toy_training import SEED, Trained, started, train, training_plan
from lorafw.testing.toys import toy_bundle
from lorafw.testing.values import as_if_trained
from lorafw.training.whole_engine import WholeEngine


class CrampedOnOne(Cramped):
    room, ranks = 40, (1,)


class CrampedBehindOnOne(CrampedOnOne):
    behind = True


class CarelessOnOne(Careless):
    ranks = (1,)


WIDE = {"global_batch_size": 13, "max_steps": 2, "micro_batch_tokens": 80}
CASES: dict[str, tuple[type[WholeEngine], dict[str, Any]]] = {
    "plain": (WholeEngine, WIDE),
    "memory": (CrampedOnOne, WIDE),
    "memory behind": (CrampedBehindOnOne, WIDE),
    "nan": (Poisoned, {}),
    "skip": (Poisoned, {"non_finite": "skip", "max_steps": 2}),
    "steep": (Steep, {}),
    "careless": (CarelessOnOne, {"max_steps": 3}),
}


def seen(done: Trained) -> dict[str, Any]:
    """What is left of a training, as JSON."""
    values = {name: value.flatten().tolist() for name, value in done.values.items()}
    return {
        "values": values,
        "losses": done.figures("loss"),
        "skipped": done.result.skipped_steps,
        "notices": notices(done),
    }


def case(running: RunningTrainer, plan: dict[str, Any], **model: Any) -> dict[str, Any]:
    """One training, or the error it ends with."""
    try:
        return seen(train(running, plan=training_plan(**plan), **model))
    except LorafwError as error:
        return {"error": str(error)}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    found: dict[str, dict[str, Any]] = {}
    for name, (kind, plan) in CASES.items():
        with started(OnEngine(kind=kind)) as running:
            found[name] = case(running, plan)
    model = ToyInjector(r=4).inject(toy_bundle("fp16"))
    as_if_trained(model, SEED)
    with started(OnEngine()) as running:
        found["fp16"] = case(running, {}, model=model)
        rank = running.world.rank
    (folder / f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
