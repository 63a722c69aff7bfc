"""What a run settles is written down at once, and a resume does the same without asking again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import lorafw
from lorafw.planning import budget_trial, run_settling
from lorafw.planning.budget_trial import Trial
from lorafw.testing.toys import WORDS, toy_folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("base")
    toy_folder(place)
    rows = [{"prompt": " ".join(WORDS[:n]), "response": " ".join(WORDS[n:])} for n in range(2, 10)]
    (place / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return place


def job_of(base: Path, output: Path, **plan: Any) -> dict[str, Any]:
    return {
        "run": {"cache": False, "output": str(output)},
        "dataset": {"use": "jsonl", "path": str(base / "rows.jsonl"), "eval_fraction": 0},
        "model": {"use": "llama", "path": str(base)},
        "injector": {"use": "peft", "r": 4},
        "trainer": "ddp",
        "plan": {"global_batch_size": 4, "epochs": 2, **plan},
    }


@pytest.fixture
def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_settling, "WORTH", 0)
    monkeypatch.setattr(run_settling, "available_to_rank", lambda *_: 1000)


def notices(folder: Path) -> list[str]:
    lines = map(json.loads, (folder / "events.jsonl").read_text(encoding="utf-8").splitlines())
    return [line["message"] for line in lines if line["event"] == "notice"]


def plan_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "run.yaml").read_text(encoding="utf-8"))
    plan: dict[str, Any] = found["plan"]
    return plan


def test_plenty_of_memory_is_not_worth_a_word(base: Path, tmp_path: Path) -> None:
    record = lorafw.run(job_of(base, tmp_path / "run")).record
    assert record["settled"] == {"activations": "keep", "micro_batch_tokens": 4096}
    assert record["threads"] >= 1
    assert not [told for told in notices(tmp_path / "run") if "plan." in told]


@pytest.mark.usefixtures("short_of_memory")
def test_what_is_settled_is_told_written_and_kept_by_a_resume(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    settled = lorafw.run(job_of(base, folder)).record["settled"]
    assert settled["activations"] != "keep"
    assert settled["micro_batch_tokens"] == 2048
    assert [told for told in notices(folder) if f"activations: {settled['activations']}" in told]
    assert settled.items() <= plan_of(folder).items()
    (newest,) = sorted((folder / "checkpoints/train").iterdir())[-1:]
    about = json.loads((newest / "checkpoint.json").read_text(encoding="utf-8"))
    assert about["settled"] == settled
    monkeypatch.setattr(run_settling, "available_to_rank", lambda *_: 10**12)
    again = lorafw.run(job_of(base, folder), resume=True).record
    assert again["settled"] == settled


def test_a_trial_is_made_once(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials: list[int] = []

    def tried(*_: Any, **__: Any) -> Trial:
        trials.append(1)
        return Trial(30, {30: 1.0, 60: 1.0})

    monkeypatch.setattr(run_settling, "try_budgets", tried)
    folder = tmp_path / "run"
    first = lorafw.run(job_of(base, folder, micro_batch_tokens="calibrate"))
    assert first.record["settled"]["micro_batch_tokens"] == 30
    assert plan_of(folder)["micro_batch_tokens"] == 30
    assert [told for told in notices(folder) if told.startswith("Calibrated")]
    open_again = job_of(base, folder, micro_batch_tokens="calibrate", epochs=3)
    open_again["plan"]["learning_rate"] = plan_of(folder)["learning_rate"]
    done = lorafw.run(open_again, resume=True, accept_changed=["plan"])
    assert done.record["settled"]["micro_batch_tokens"] == 30
    assert trials == [1]


def test_a_run_that_calibrates_trains_as_one_that_is_told(base: Path, tmp_path: Path) -> None:
    budgets = (20, 60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget_trial, "BUDGETS", budgets)
        found = lorafw.run(job_of(base, tmp_path / "a", micro_batch_tokens="calibrate"))
    tokens = found.record["settled"]["micro_batch_tokens"]
    assert tokens in budgets
    told = lorafw.run(job_of(base, tmp_path / "b", micro_batch_tokens=tokens))
    assert found.adapter is not None
    assert told.adapter is not None
    mine, theirs = (
        (result.adapter / "adapter_model.safetensors").read_bytes()  # type: ignore[operator]
        for result in (found, told)
    )
    assert mine == theirs
