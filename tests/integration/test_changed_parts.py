"""Each part of a run that is not what it was is named, alone, and can be accepted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lorafw
from lorafw.errors import CheckpointError
from lorafw.testing.toys import WORDS, toy_folder, toy_tokenizer

Config = dict[str, Any]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    """A run of one step, and its folder."""
    place = tmp_path_factory.mktemp("done")
    config = {
        "run": {"output": str(place / "run")},
        "dataset": {"use": "jsonl", "path": str(rows(place / "rows.jsonl", len(WORDS)))},
        "model": {"use": "llama", "path": str(toy_folder(place / "base"))},
        "encoder": {"use": "prompt"},
        "injector": {"use": "custom", "r": 4},
        "trainer": {"use": "ddp"},
        "plan": {"max_steps": 1, "evaluate_every": 1, "export_best": True},
    }
    config["dataset"]["eval_path"] = str(rows(place / "held-out.jsonl", 2, again=2))
    lorafw.run(config)
    return config, place


def rows(path: Path, count: int, again: int = 1) -> Path:
    """Rows whose prompt is one word, or the same word again."""
    prompts = [" ".join([word] * again) for word in WORDS[:count]]
    lines = [{"prompt": prompt, "response": " ".join(WORDS[:3])} for prompt in prompts]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def _other_tokenizer(config: Config, place: Path) -> None:
    base = place / "other-tokenizer"
    shutil.copytree(config["model"]["path"], base)
    tokenizer: Any = toy_tokenizer()
    tokenizer.add_tokens(["barns"])
    tokenizer.save_pretrained(base)
    config["model"]["path"] = str(base)


def _other_base(config: Config, place: Path) -> None:
    config["model"]["path"] = str(toy_folder(place / "other-base", seed=1))


def _other_rows(config: Config, place: Path) -> None:
    config["dataset"]["path"] = str(rows(place / "other.jsonl", len(WORDS) - 1))


def _other_held_out(config: Config, place: Path) -> None:
    config["dataset"]["eval_path"] = str(rows(place / "other.jsonl", 3, again=2))


def _other(section: str, option: str, value: object) -> Callable[[Config, Path], None]:
    def change(config: Config, _: Path) -> None:
        config.setdefault(section, {})[option] = value

    return change


CHANGES = {
    "data": _other_rows,
    "held-out": _other_held_out,
    "tokenizer": _other_tokenizer,
    "template": _other("encoder", "max_length", 8),
    "base": _other_base,
    "adapter": _other("injector", "alpha", 99),
    "objective": _other("objective", "chunk_rows", 7),
    "plan": _other("plan", "learning_rate", 0.5),
    "seed": _other("run", "seed", 5),
}


@pytest.mark.parametrize("part", CHANGES)
def test_a_changed_part_is_named_and_can_be_accepted(
    part: str, done: tuple[Config, Path], tmp_path: Path
) -> None:
    config, place = json.loads(json.dumps(done[0])), done[1]
    config["run"]["output"] = str(shutil.copytree(place / "run", tmp_path / "run"))
    CHANGES[part](config, tmp_path)
    with pytest.raises(CheckpointError) as refused:
        lorafw.run(config, resume=True)
    named = str(refused.value).split("continue all the same with ")[1].split(", or")[0]
    record = lorafw.run(config, resume=True, accept_changed=named.split()[1::2]).record
    assert len(record["accepted_changes"]) == len(named.split()) // 2
    assert named == f"--accept-changed {part}"
