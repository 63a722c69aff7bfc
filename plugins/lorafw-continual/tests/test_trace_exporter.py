"""Exporter `trace`: every round's adapter as it was scored, and TRACE's result files."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import lorafw
from lorafw.cli.main import main
from lorafw.errors import ExportError
from lorafw.testing.toys import WORDS, toy_folder
from lorafw.types import PromptExample

TASKS = ("cats", "birds")


def rows(seed: int, count: int) -> list[dict[str, str]]:
    chance = random.Random(seed)
    words = WORDS[seed % 2 * 8 : seed % 2 * 8 + 8]
    texts = [chance.choices(words, k=4) for _ in range(count)]
    return [{"prompt": " ".join(text), "answer": text[0]} for text in texts]


def config(place: Path, **changes: Any) -> dict[str, Any]:
    return {
        "run": {"output": str(place / "run"), "cache": False},
        "dataset": {"use": "trace", "path": str(place / "data")},
        "tasks": [{"name": name, "metrics": ["exact-match"]} for name in TASKS],
        "model": {"use": "auto", "path": str(place / "base")},
        "injector": {"use": "custom", "r": 2},
        "encoder": {"use": "prompt", "separator": " "},
        "trainer": "ddp",
        "plan": {"global_batch_size": 4, "learning_rate": 0.05, "epochs": 1},
        "exporters": [],
        "listeners": [],
        **changes,
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two tasks whose rehearsals come behind them, and what was trained on."""
    place = tmp_path_factory.mktemp("trace")
    toy_folder(place / "base")
    for seed, name in enumerate(TASKS):
        folder = place / "data" / name
        folder.mkdir(parents=True)
        for split, count in (("train", 12), ("eval", 5), ("test", 2)):
            file = folder / f"{split}.json"
            file.write_text(json.dumps(rows(seed + 2 * (split != "train"), count)), "utf-8")
    both = ["trace", "adapter"]
    lorafw.run(config(place, scenario={"use": "replay", "after": True}, exporters=both))
    return place


def exported(run: Path, out: Path) -> Result:
    return CliRunner().invoke(main, ["export", str(run), "--to", "trace", "--out", str(out)])


@pytest.fixture(scope="module")
def written(place: Path) -> Path:
    result = exported(place / "run", place / "trace")
    assert result.exit_code == 0, result.output
    return place / "trace"


@pytest.fixture(scope="module")
def figures(place: Path) -> Any:
    return json.loads((place / "run" / "run.json").read_text("utf-8"))["scores"]["figures"]


def test_it_has_the_files_that_trace_writes(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == [
        "0",
        "1",
        "certificate.json",
        "results-0-0-cats.json",
        "results-1-0-cats.json",
        "results-1-1-birds.json",
    ]
    for number in "01":
        names = {path.name for path in (written / number).iterdir()}
        assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} < names


def test_a_run_writes_the_same_at_its_end(place: Path, written: Path) -> None:
    at_the_end = place / "run" / "trace"
    files = [path.relative_to(written) for path in sorted(written.rglob("*")) if path.is_file()]
    assert len(files) > 8
    for file in files:
        if file.name not in ("certificate.json", "lorafw.json", "adapter_config.json"):
            assert (at_the_end / file).read_bytes() == (written / file).read_bytes(), file
    model, adapter = (lorafw.load(path) for path in (at_the_end / "1", place / "run" / "adapter"))
    assert model.generate("cats") == adapter.generate("cats")


def test_every_round_is_the_model_that_was_scored(place: Path, written: Path, figures: Any) -> None:
    for number, stage in enumerate(TASKS):
        model = lorafw.load(written / str(number))
        for task in TASKS:
            held_out = json.loads((place / "data" / task / "eval.json").read_text("utf-8"))
            examples = [PromptExample(row["prompt"], row["answer"]) for row in held_out]
            assert model.perplexity(examples).loss == pytest.approx(
                figures[stage][task]["loss"], rel=1e-5
            )


def test_results_are_those_of_the_scores(place: Path, written: Path, figures: Any) -> None:
    found = json.loads((written / "results-1-0-cats.json").read_text("utf-8"))
    held_out = json.loads((place / "data" / "cats" / "eval.json").read_text("utf-8"))
    assert list(found) == ["eval", "prompts", "results", "labels"]
    assert found["prompts"] == [row["prompt"] for row in held_out]
    assert found["labels"] == [row["answer"] for row in held_out]
    model = lorafw.load(written / "1")
    assert found["results"] == model.generate_many(found["prompts"])
    names = ("exact_match", "loss", "perplexity")
    wanted = {name: figures["birds"]["cats"][name] for name in names}
    assert found["eval"] == wanted


def test_a_run_that_trained_the_base_gives_whole_models(place: Path, tmp_path: Path) -> None:
    run = {"output": str(tmp_path / "full"), "cache": False}
    lorafw.run(config(place, run=run, scenario="joint", injector={"use": "full"}))
    result = exported(tmp_path / "full", tmp_path / "out")
    assert result.exit_code == 0, result.output
    names = {path.name for path in (tmp_path / "out" / "0").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} < names
    assert (tmp_path / "out" / "results-0-1-birds.json").is_file()


def test_rounds_are_of_the_model_that_was_trained_and_not_of_its_export(
    place: Path, tmp_path: Path
) -> None:
    run = {"output": str(tmp_path / "run"), "cache": False}
    start = {"use": "custom", "r": 2, "init": "pissa"}  # its export is of twice the rank
    parts = {"scenario": "adapter-per-task", "injector": start, "exporters": ["adapter"]}
    lorafw.run(config(place, run=run, **parts))
    shutil.rmtree(tmp_path / "run" / "adapters" / TASKS[1])  # one is saved, and one is not
    result = exported(tmp_path / "run", tmp_path / "out")
    assert result.exit_code == 0, result.output
    file = "adapter_model.safetensors"
    first, second = ((tmp_path / "out" / number / file).read_bytes() for number in "01")
    assert first == (tmp_path / "run" / "adapters" / TASKS[0] / file).read_bytes()
    assert second == (tmp_path / "run" / "adapter" / file).read_bytes()


def test_a_run_that_exported_nothing_is_as_its_last_task_left_it(
    place: Path, tmp_path: Path
) -> None:
    run = {"output": str(tmp_path / "run"), "cache": False}
    longest_first = [{"name": name, "epochs": 3 - at} for at, name in enumerate(TASKS)]
    lorafw.run(config(place, run=run, scenario="sequential", tasks=longest_first))
    steps = {file.parent.name: file.name for file in (tmp_path / "run").glob("checkpoints/*/step*")}
    assert steps[TASKS[0]] > steps[TASKS[1]]
    words = ["export", str(tmp_path / "run"), "--to", "adapter", "--to", "trace"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    whole, last = (
        (tmp_path / "run" / name / "adapter_model.safetensors").read_bytes()
        for name in ("adapter", "trace/1")
    )
    assert whole == last


def test_a_run_of_one_data_set_is_refused_before_it_trains(place: Path, tmp_path: Path) -> None:
    run = {"output": str(tmp_path / "run"), "cache": False}
    alone = {"use": "jsonl", "path": str(tmp_path / "rows.jsonl"), "eval_fraction": 0}
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "response": "b"}\n' * 8, "utf-8")
    values = config(place, run=run, dataset=alone, exporters=["trace"], scenario="single")
    del values["tasks"]
    with pytest.raises(ExportError, match="is for a run over several tasks"):
        lorafw.run(values)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_what_a_run_keeps_of_its_stages_must_be_whole(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "run", tmp_path / "run")
    file = tmp_path / "run" / "stages" / "birds" / "checkpoint.json"
    file.write_text("{", "utf-8")
    result = exported(tmp_path / "run", tmp_path / "out")
    assert "checkpoint.json: cannot be read" in result.output
    assert result.exit_code == 1
    assert not (tmp_path / "out").exists()
    shutil.rmtree(tmp_path / "run" / "stages")
    result = exported(tmp_path / "run", tmp_path / "out")
    assert "no task has been trained to its end" in result.output
    assert result.exit_code == 1
