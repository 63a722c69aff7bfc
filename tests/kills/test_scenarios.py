"""Runs over several tasks, killed outright in the middle of a stage, end as if nothing had been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from lorafw.assembly.registry import Registry

SCENARIOS = [name for name in Registry().names("scenario") if name not in ("single", "toy")]
MOMENTS = (0.3, 0.6, 0.9)
"""Shares of the events of a whole run after which it is killed."""
TASKS = {"animals": "The camel lives in the desert", "sums": "2 + 2 = 4 and 3 + 3 = 6"}
UNSCORED = "o-lora, unscored"
"""Where nothing between two stages asks for the values that the first one left."""
OPTIONS: dict[str, dict[str, Any]] = {
    UNSCORED: {"use": "o-lora", "score": "none"},
    "adapter-per-task": {"router": "similarity"},
    "lfpt5": {"pseudo_rows": 3},
    "mbpa++": {"neighbours": 2, "local_steps": 2},
    "l2p": {"pool_size": 2, "prompt_length": 2, "top_n": 1},
}
LEARNED_PROMPTS = {"progressive-prompts", "l2p"}
"""Those of virtual tokens, which PEFT's injector makes."""


def _config(folder: Path, scenario: str, run: str) -> Path:
    tasks = []
    for name, words in TASKS.items():
        file = folder / f"{name}.jsonl"
        rows = [{"prompt": f"Say {at} of {name}.", "response": f"{words} {at}"} for at in range(12)]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        dataset = {"use": "jsonl", "path": str(file), "eval_fraction": 0.25}
        tasks.append({"name": name, "dataset": dataset})
    values = {
        "run": {"output": str(folder / run), "cache": False},
        "model": {"use": "llama", "path": "lorafw:demo"},
        "injector": _injector(scenario),
        "trainer": "ddp",
        "scenario": {"use": scenario, **OPTIONS.get(scenario, {})},
        "plan": {"epochs": 2, "global_batch_size": 3, "checkpoint_every": 1},
        "tasks": tasks,
    }
    path = folder / f"{run}.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def _injector(scenario: str) -> dict[str, Any]:
    if scenario not in LEARNED_PROMPTS:
        return {"use": "custom", "r": 4}
    options = {"num_virtual_tokens": 6}
    return {"use": "peft", "method": "prompt_tuning", "method_options": options}


def _start(config: Path, *flags: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lorafw", "run", "--config", str(config), *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with config.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def _finish(config: Path, *flags: str) -> dict[str, Any]:
    """What a finished run leaves, and what its record says of that."""
    process = _start(config, *flags)
    assert process.wait(timeout=300) == 0, config.with_suffix(".log").read_text(encoding="utf-8")
    folder = config.with_suffix("")
    record: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    adapter = (folder / "adapter" / "adapter_model.safetensors").read_bytes()
    return {"scores": record.get("scores"), "exports": record["exports"], "adapter": adapter}


def _events(config: Path) -> int:
    file = config.with_suffix("") / "events.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def _kill_after(events: int, process: subprocess.Popen[bytes], config: Path) -> None:
    while process.poll() is None and _events(config) < events:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.kills
@pytest.mark.parametrize("scenario", [*SCENARIOS, UNSCORED])
def test_a_killed_run_ends_with_the_same_matrix(scenario: str, tmp_path: Path) -> None:
    whole = _config(tmp_path, scenario, "whole")
    wanted, events = _finish(whole), _events(whole)
    for number, moment in enumerate(MOMENTS):
        config = _config(tmp_path, scenario, f"killed-{number}")
        process = _start(config)
        _kill_after(round(moment * events), process, config)
        assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
        assert _finish(config, "--resume") == wanted
