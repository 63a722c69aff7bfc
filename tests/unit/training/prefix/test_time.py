"""A kept prefix spares the time of the layers below."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import pytest
import torch

from lorafw.assembly.registry import Registry
from lorafw.testing.toy_training import started, train, training_plan
from lorafw.testing.toys import toy_bundle, toy_rows

PLAN = {"epochs": 5, "max_steps": None, "composition": "fixed", "global_batch_size": 8}
SHAPE = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 12,
    "max_position_embeddings": 256,
}


def seconds(place: Path | None) -> float:
    """CPU time of five epochs in which the top quarter of the layers is trained."""
    injector = Registry().load("injector", "custom").from_mapping({"top_layers": 3}, where="")
    model = injector.inject(toy_bundle(**SHAPE))  # type: ignore[attr-defined]
    trainer = Registry().load("trainer", "ddp")()
    rows = toy_rows(32, longest=120)
    with started(trainer) as running:  # type: ignore[arg-type]
        began = time.process_time()
        train(running, model, training_plan(**PLAN), rows=rows, prefix_cache=place)
        return time.process_time() - began


@pytest.mark.slow
def test_the_top_quarter_trains_faster(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    seconds(None)
    computed, kept = zip(*((seconds(None), seconds(tmp_path)) for _ in range(3)), strict=True)
    assert median(computed) / median(kept) > 1.3
