"""`lorafw.verify` on a small config: all that is right holds, and what is wrong does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import lorafw
from lorafw.contracts import Engine, EngineJob, World
from lorafw.errors import CompositionError, PluginError, UsageError
from lorafw.testing.toys import WORDS, toy_folder
from lorafw.training.engine_trainer import EngineTrainer
from lorafw.training.whole_engine import WholeEngine
from lorafw.verification.report import Report
from lorafw.verification.verify import Request

HALF = f"{__name__}:HalfTrainer"


class HalfEngine(WholeEngine):
    """Counts gradients half, as if the loss were divided by the wrong number."""

    def backward(self, loss: Tensor) -> None:
        super().backward(loss * 0.5)


class HalfTrainer(EngineTrainer):
    """A trainer with a fault that AdamW hides: it does not care how large a gradient is."""

    def open_engine(self, job: EngineJob, world: World) -> Engine:
        return HalfEngine(job, world, job.module)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("verify")
    rows = [
        {"prompt": " ".join(WORDS[n : n + 4]), "response": " ".join(WORDS[: n % 5 + 1])}
        for n in range(13)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {
        "run": {"output": str(folder / "run")},
        "dataset": {"use": "jsonl", "path": str(folder / "rows.jsonl")},
        "model": {"use": "auto", "path": str(toy_folder(folder / "base"))},
        "encoder": {"use": "prompt"},
        "injector": {"use": "custom", "r": 4, "dropout": 0.1},
        "trainer": {"use": "ddp"},
        "plan": {"global_batch_size": 4, "micro_batch_tokens": 24, "max_grad_norm": None},
    }


@pytest.fixture(scope="module")
def found(config: dict[str, Any]) -> Report:
    root = str(Path(__file__).parents[2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", root)
        request = Request(steps=2, ranks=(1,), trainers=("ddp", HALF))
        return lorafw.verify(config, request)


def test_what_is_right_holds(found: Report) -> None:
    rows = [row for row in found.rows if row.trainer == "ddp"]
    assert {(row.injector, row.layout) for row in rows} == {
        (injector, layout) for injector in ("custom", "peft") for layout in ("segments", "padded")
    }
    assert {row.budget for row in rows} == {1, 24}
    assert {row.verdict for row in rows} == {"holds"}, rows
    assert all(0 <= (row.differences["adapter"] or 0.0) <= 5e-6 for row in rows)
    assert any(row.differences["gradient"] for row in rows)


def test_what_is_wrong_does_not(found: Report) -> None:
    rows = [row for row in found.rows if row.trainer == HALF]
    assert len(rows) == 4
    assert {row.verdict for row in rows} == {"differs"}
    assert all("gradient" in row.reason for row in rows)
    assert all(row.differences["gradient"] == pytest.approx(0.5, abs=1e-3) for row in rows)
    assert not found.holds


def test_it_says_what_was_random_and_leaves_no_folder(
    found: Report, config: dict[str, Any]
) -> None:
    (sentence,) = found.random
    assert sentence.startswith("injector.dropout draws its numbers per rank")
    assert found.dtype == "fp32"
    assert not Path(config["run"]["output"]).exists()


def test_a_trainer_that_is_not_there(config: dict[str, Any]) -> None:
    with pytest.raises(PluginError, match="Did you mean 'ddp'"):
        lorafw.verify(config, Request(trainers=("ddpp",)))


def test_what_cannot_be_compared(config: dict[str, Any]) -> None:
    injector = {"use": "peft", "method": "pvera"}
    with pytest.raises(CompositionError, match="nothing to compare"):
        lorafw.verify({**config, "injector": injector})


def test_a_launcher_is_not_needed(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="without a launcher"):
        lorafw.verify(config)
