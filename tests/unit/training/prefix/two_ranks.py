"""One rank of a comparison: trains with and without a kept prefix, and tells what came out.

Usage: python -m tests.unit.training.prefix.two_ranks FOLDER TRAINER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from lorafw.assembly.registry import Registry
from lorafw.testing.toy_training import started, train, training_plan
from lorafw.testing.toys import toy_bundle
from lorafw.testing.values import as_if_trained, equal
from lorafw.types import Layout

OPTIONS: dict[str, dict[str, Any]] = {"deepspeed": {"zero_stage": 2}}
PLAN = {"epochs": 3, "max_steps": None, "composition": "fixed", "micro_batch_tokens": 60}


def main(folder: Path, name: str) -> None:
    torch.set_num_threads(1)
    trainer: Any = Registry().load("trainer", name)
    with started(trainer(**OPTIONS.get(name, {}))) as running:
        rank = running.world.rank
        (plain, _), (cached, passes) = (
            _train(running, place) for place in (None, folder / f"machine-{rank}")
        )
    found = {
        "equal": equal(plain.values, cached.values),
        "losses": plain.figures("loss") == cached.figures("loss"),
        "steps": cached.result.steps,
        "passes": passes,
    }
    (folder / f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")


def _train(running: Any, place: Path | None) -> Any:
    injector: Any = Registry().load("injector", "custom")
    model = injector(r=4, top_layers=2).inject(toy_bundle(num_hidden_layers=4))
    as_if_trained(model)
    calls: list[int] = []
    first: Any = model.bundle.layers[0]
    forward = first.forward

    def counted(*given: Any, **named: Any) -> Any:
        calls.append(1)
        return forward(*given, **named)

    first.forward = counted
    plan = training_plan(**PLAN)
    done = train(running, model, plan, layout=Layout.SEGMENTS, prefix_cache=place)
    return done, len(calls)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
