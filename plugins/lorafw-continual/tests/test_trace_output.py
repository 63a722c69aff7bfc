"""`lorafw continual trace`: every round's adapter as it was scored, and TRACE's result files."""

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
    lorafw.run(config(place, scenario={"use": "replay", "after": True}))
    return place


def called(*words: object) -> Result:
    return CliRunner().invoke(main, ["continual", "trace", *map(str, words)])


@pytest.fixture(scope="module")
def written(place: Path) -> Path:
    result = called(place / "run", place / "trace")
    assert result.exit_code == 0, result.output
    assert "2 rounds, 3 files of results." in result.output
    return place / "trace"


@pytest.fixture(scope="module")
def figures(place: Path) -> Any:
    return json.loads((place / "run" / "run.json").read_text("utf-8"))["scores"]["figures"]


def test_it_has_the_files_that_trace_writes(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == [
        "0",
        "1",
        "results-0-0-cats.json",
        "results-1-0-cats.json",
        "results-1-1-birds.json",
    ]
    for number in "01":
        names = {path.name for path in (written / number).iterdir()}
        assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} < names


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
    result = called(tmp_path / "full", tmp_path / "out")
    assert result.exit_code == 0, result.output
    names = {path.name for path in (tmp_path / "out" / "0").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} < names
    assert (tmp_path / "out" / "results-0-1-birds.json").is_file()


def test_what_cannot_be_written_is_refused_in_one_line(place: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    result = called(place / "run", tmp_path / "full")
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert "is there already. Name a new folder." in result.output
    shutil.copytree(place / "run", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "stages" / "cats")
    result = called(tmp_path / "run", tmp_path / "out")
    assert "keeps no values of stage cats" in result.output
    assert result.exit_code == 2
    (tmp_path / "run" / "stages" / "birds" / "checkpoint.json").write_text("{", "utf-8")
    result = called(tmp_path / "run", tmp_path / "out")
    assert "checkpoint.json: cannot be read" in result.output
    assert result.exit_code == 1
    assert not (tmp_path / "out").exists()
