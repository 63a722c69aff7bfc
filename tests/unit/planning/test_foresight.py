"""What a run takes is what was foretold, in a process of its own, and foretelling changes nothing.

Shapes are large enough for what torch reads in of its own code not to count for much.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import lorafw
from lorafw.planning.foresight import WORTH
from lorafw.testing.toys import WORDS, toy_folder

SHAPE = {
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 4,
    "max_position_embeddings": 1024,
}
RUN = "import json, sys, lorafw; lorafw.run(json.load(open(sys.argv[1])))"
FITTING = 0.15


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of some size, and rows for it of many lengths."""
    place = tmp_path_factory.mktemp("base")
    toy_folder(place, **SHAPE)
    rows = [{"prompt": " ".join(WORDS[:n]), "response": " ".join(WORDS * 32)} for n in range(3, 11)]
    (place / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return place


def job_of(base: Path, output: Path, injector: str, layout: str, dtype: str) -> dict[str, Any]:
    rows = {"use": "jsonl", "path": str(base / "rows.jsonl"), "eval_fraction": 0}
    return {
        "run": {"cache": False, "output": str(output)},
        "dataset": rows,
        "model": {"use": "llama", "path": str(base), "dtype": dtype},
        "injector": {"use": injector, "r": 4},
        "trainer": "ddp",
        "plan": {"global_batch_size": 8, "max_steps": 1, "layout": layout},
    }


def told_by_a_run(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the record of a run in a fresh process says of its plan."""
    config = folder / "job.json"
    config.write_text(json.dumps(job), encoding="utf-8")
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(config)],
        env=alone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((folder / "run/run.json").read_text(encoding="utf-8"))
    told: dict[str, Any] = record["plan"]
    return told


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the size of a process")
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(("custom", "segments", "fp32"), id="custom-segments-fp32"),
        pytest.param(("peft", "padded", "bf16"), id="peft-padded-bf16", marks=pytest.mark.slow),
    ],
)
def test_a_run_takes_what_was_foretold(
    base: Path, tmp_path: Path, shape: tuple[str, str, str]
) -> None:
    job = job_of(base, tmp_path / "run", *shape)
    told = told_by_a_run(job, tmp_path)
    predicted, measured = told["predicted"], told["measured"]
    assert predicted == lorafw.plan(job).forecast.record()
    assert measured["seconds_per_step"] > 0
    assert measured["tokens_per_second"] > 0
    ratio = predicted["peak_bytes"] / measured["peak_bytes"]
    assert ratio == pytest.approx(1, abs=FITTING)
    without = predicted["peak_bytes"] - predicted["memory"]["activations"]
    assert without / measured["peak_bytes"] < 1 - FITTING


def surroundings() -> tuple[object, ...]:
    """What the whole process shares."""
    state = torch.get_rng_state().tolist(), torch.get_default_dtype(), torch.get_default_device()
    classes = (nn.Module, nn.Linear, nn.Embedding)
    return *state, *(dict(vars(one)) for one in classes)


def test_nothing_of_the_process_is_changed(base: Path, tmp_path: Path) -> None:
    before = surroundings()
    lorafw.plan(job_of(base, tmp_path, "custom", "segments", "fp32"))
    assert surroundings() == before


def test_a_run_that_is_soon_over_is_not_foretold(tmp_path: Path) -> None:
    toy = toy_folder(tmp_path / "toy")
    row = json.dumps({"prompt": "the cat", "response": "sat on a mat"})
    (toy / "rows.jsonl").write_text(f"{row}\n", encoding="utf-8")
    job = job_of(toy, tmp_path / "run", "custom", "segments", "fp32")
    predicted = lorafw.run(job).record["plan"]["predicted"]
    assert predicted["memory"] is None
    assert "over before" in predicted["unknown"]
    told = lorafw.plan(job).forecast
    assert told.parameters is not None
    assert 4 * told.parameters * told.portions.cells < WORTH
