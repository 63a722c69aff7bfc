"""Runs that were stopped on their way: how they go on, and what can be had of them before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from safetensors.torch import load_file

import lorafw
from lorafw.cli.main import main
from lorafw.testing.toys import WORDS, toy_folder
from lorafw.training.checkpoints.keeper import Checkpoints
from lorafw.training.checkpoints.progress import Checkpoint

TASKS = ("cats", "birds")
PEFT_FILE = "adapter_model.safetensors"
PROMPTS: dict[str, dict[str, Any]] = {
    "progressive-prompts": {},
    "l2p": {"pool_size": 2, "prompt_length": 2, "top_n": 1},
}
SHOWN = {"progressive-prompts": (3, 6), "l2p": (4, 4)}
"""Of six virtual tokens those that stand before rows after each task; in a pool two are keys."""


class Died(Exception):
    """Stands for a process that is gone."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, and the rows of two tasks."""
    place = tmp_path_factory.mktemp("stopped")
    toy_folder(place / "base")
    for name, words in zip(TASKS, (WORDS[:6], WORDS[6:12]), strict=True):
        rows = [{"prompt": f"{a} {b}", "response": b} for a in words for b in words[:2]]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (place / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return place


def config(place: Path, run: Path, scenario: str, **options: Any) -> dict[str, Any]:
    """Nothing is held out, so that nothing is scored."""
    read = {"use": "jsonl", "eval_fraction": 0}
    prompts = {"num_virtual_tokens": 6}
    injector = {"use": "peft", "method": "prompt_tuning", "method_options": prompts}
    return {
        "run": {"output": str(run), "cache": False},
        "tasks": [
            {"name": name, "dataset": {**read, "path": str(place / f"{name}.jsonl")}}
            for name in TASKS
        ],
        "model": {"use": "auto", "path": str(place / "base")},
        "injector": injector if scenario in PROMPTS else {"use": "custom", "r": 2},
        "encoder": {"use": "prompt", "separator": " "},
        "scenario": {"use": scenario, **options},
        "trainer": "ddp",
        "plan": {"global_batch_size": 4, "learning_rate": 0.05, "epochs": 1, "checkpoint_every": 1},
        "exporters": ["adapter"],
        "listeners": [],
    }


def stopped(values: dict[str, Any], *, in_the_middle: bool) -> Path:
    """The folder of a run that died in its second stage, behind or before its first checkpoint."""
    whole = Checkpoints.save

    def save(self: Checkpoints, checkpoint: Checkpoint) -> None:
        second = self._folder is not None and self._folder.name == TASKS[1]
        if in_the_middle or not second:
            whole(self, checkpoint)
        if second:
            raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", save)
        with pytest.raises(Died):
            lorafw.run(values)
    return Path(values["run"]["output"])


def export(run: Path, to: str, out: Path) -> Result:
    return CliRunner().invoke(main, ["export", str(run), "--to", to, "--out", str(out)])


@pytest.mark.parametrize(
    ("scenario", "in_the_middle"),
    [
        ("o-lora", True),
        pytest.param("o-lora", False, marks=pytest.mark.slow),
        pytest.param("adapter-per-task", True, marks=pytest.mark.slow),
    ],
)
def test_one_that_scores_nothing_ends_as_if_it_had_not_been_stopped(
    place: Path, tmp_path: Path, scenario: str, in_the_middle: bool
) -> None:
    wanted = lorafw.run(config(place, tmp_path / "whole", scenario, score="none"))
    values = config(place, tmp_path / "run", scenario, score="none")
    stopped(values, in_the_middle=in_the_middle)
    found = lorafw.run(values, resume=True)
    assert found.adapter is not None
    assert wanted.adapter is not None
    assert (found.adapter / PEFT_FILE).read_bytes() == (wanted.adapter / PEFT_FILE).read_bytes()
    assert found.record["exports"] == wanted.record["exports"]


@pytest.mark.parametrize(
    "scenario", ["progressive-prompts", pytest.param("l2p", marks=pytest.mark.slow)]
)
def test_one_of_learned_prompts_is_the_model_that_its_last_task_left(
    place: Path, tmp_path: Path, scenario: str
) -> None:
    values = config(place, tmp_path / "run", scenario, **PROMPTS[scenario])
    run = stopped(values, in_the_middle=True)
    _check_refused(run, tmp_path / "out")
    shutil.rmtree(run / "checkpoints" / TASKS[1])  # as if it had not got so far
    after_one, after_two = SHOWN[scenario]
    _check_exports(run, TASKS[0], after_one, tmp_path / "early")
    lorafw.run(values, resume=True)
    final = (run / "adapter" / PEFT_FILE).read_bytes()
    shutil.rmtree(run / "adapter")  # as where its exporters are others, or failed
    assert _check_exports(run, TASKS[1], after_two, tmp_path / "late") == final


def _check_refused(run: Path, out: Path) -> None:
    """See that nothing is exported of a run in the middle of a task, and what is said."""
    for to in ("adapter", "trace"):
        result = export(run, to, out)
        told = " ".join(result.output.split())
        assert result.exit_code == 1
        assert "does not tell which of them stand before rows" in told
        assert f"--resume, or export what a finished task left: {run}/adapters/TASK" in told
        assert not out.exists()


def _check_exports(run: Path, task: str, tokens: int, out: Path) -> bytes:
    """See that what is exported of a run is what it saved of a task; give that file."""
    saved = (run / "adapters" / task / PEFT_FILE).read_bytes()
    for to, file in (("adapter", PEFT_FILE), ("trace", f"{TASKS.index(task)}/{PEFT_FILE}")):
        result = export(run, to, out / to)
        assert result.exit_code == 0, result.output
        assert "nothing was rounded" in result.output
        assert (out / to / file).read_bytes() == saved
    assert len(load_file(out / "adapter" / PEFT_FILE)["prompt_embeddings"]) == tokens
    return saved


def test_rounds_of_learned_prompts_that_were_not_saved_are_refused(
    place: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    lorafw.run(config(place, run, "progressive-prompts"))
    shutil.rmtree(run / "adapters" / TASKS[0])
    result = export(run, "trace", tmp_path / "out")
    assert result.exit_code == 1
    assert f"stages/{TASKS[0]}: holds all virtual tokens of the run" in result.output


@pytest.mark.parametrize("scenario", ["sequential", "adapter-per-task"])
def test_rounds_are_not_told_of_a_model_that_was_trained_on(
    place: Path, tmp_path: Path, scenario: str
) -> None:
    run = stopped(config(place, tmp_path / "run", scenario), in_the_middle=True)
    result = export(run, "trace", tmp_path / "out")
    assert result.exit_code == 1
    told = "trained on since its last whole round, of 'cats'. Finish the run with --resume."
    assert told in " ".join(result.output.split())
