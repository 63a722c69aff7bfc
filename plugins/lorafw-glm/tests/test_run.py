"""A run from an original checkpoint to what one can ask, by the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import lorafw
from lorafw.cli.main import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    rows = [{"prompt": f"how many are {n} and 2?", "response": f"{n + 2}"} for n in range(24)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_run_ends_in_an_adapter_and_a_model_without_remote_code(
    make_original: Callable[..., Path],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("lorafw_peft")
    pytest.importorskip("lorafw_ddp")
    options = {
        "model.path": make_original(),
        "dataset.path": data,
        "plan.max_steps": 4,
        "plan.learning_rate": 0.01,
        "plan.global_batch_size": 4,
    }
    parts = {
        "dataset": "jsonl",
        "model": "glm",
        "injector": "peft",
        "trainer": "ddp",
        "output": "out",
    }
    words = [word for name, value in parts.items() for word in (f"--{name}", value)]
    words += [
        word for name in ("adapter", "merged", "chatglm-adapter") for word in ("--exporter", name)
    ]
    words += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["run", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    adapted, merged = (lorafw.load(tmp_path / "out" / name) for name in ("adapter", "merged"))
    ids = adapted.encode("how many are 5 and 2?").input_ids
    assert torch.allclose(adapted.logits(ids), merged.logits(ids), atol=1e-4)
    config = json.loads((tmp_path / "out" / "merged" / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == "glm"
    written = tmp_path / "out" / "chatglm-adapter" / "adapter_config.json"
    targets = json.loads(written.read_text(encoding="utf-8"))["target_modules"]
    assert set(targets) == {"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"}
