"""A trained toy is measured as training measured it, answers as it answers, and compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.evaluation.conftest import Train, sentences, write_rows

import lorafw
from lorafw.errors import ConfigError, DataError, LorafwError, UsageError
from lorafw.evaluation.evaluate import Request, evaluate
from lorafw.evaluation.page import render
from lorafw.evaluation.report import Report
from lorafw.evaluation.row_source import RowSource
from lorafw.inference.loaded import LoadedModel
from lorafw.types import ChoiceExample, Encoded, Split

QUICK = Request(max_new_tokens=6, resamples=50)


@pytest.fixture(scope="module")
def run(train: Train) -> Path:
    return train("fp32")


@pytest.fixture(scope="module")
def model(run: Path) -> LoadedModel:
    return lorafw.load(run)


@pytest.fixture(scope="module")
def report(run: Path, model: LoadedModel) -> Report:
    wishes = replace(QUICK, metrics=("exact-match", "rouge", "bleu"))
    return evaluate(run, wishes, load=lambda: model)


def asked(model: LoadedModel, path: Path, source: RowSource, *metrics: str) -> Report:
    return evaluate(path, replace(QUICK, source=source, metrics=metrics), load=lambda: model)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_the_loss_is_that_of_the_run(train: Train, dtype: str) -> None:
    folder = train(dtype)
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    lines = {line.figure: line.compared for line in evaluate(folder, replace(QUICK)).lines}
    for figure in ("loss", "perplexity"):
        base, model = lines[figure].base, lines[figure].model
        assert base is not None
        assert model.value == pytest.approx(record["evaluation"][figure], rel=1e-5)
        assert base.value == pytest.approx(record["evaluation_before"][figure], rel=1e-5)


def test_answers_are_those_of_generate(report: Report, model: LoadedModel) -> None:
    assert len(report.predictions) == report.rows == 10
    rows = sentences(10, 2)
    for row, wanted in zip(report.predictions, rows, strict=True):
        assert row["reference"] == wanted["response"]
        for who, adapter in (("adapter", True), ("base", False)):
            said = model.generate(wanted["prompt"], adapter=adapter, max_new_tokens=6)
            assert row[who]["answer"] == said


def test_figures_of_rows_make_up_those_of_all(report: Report) -> None:
    for figure in ("exact_match", "rougeL"):
        scores = [row["adapter"]["scores"][figure] for row in report.predictions]
        assert report.figures()[figure] == pytest.approx(sum(scores) / len(scores), abs=1e-5)


def test_without_its_base_there_is_no_difference(run: Path, model: LoadedModel) -> None:
    found = evaluate(run, replace(QUICK, base=False), load=lambda: model)
    assert not found.has_base
    assert all(line.compared.difference is None for line in found.lines)
    assert set(found.as_json()["figures"][0]) == {"metric", "figure", "better", "adapter"}


def test_json_says_it_all(report: Report) -> None:
    said = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert said["metrics"]["bleu"] == {"tokenize": "auto", "lowercase": False}
    assert said["bootstrap"] == {"resamples": 50, "seed": 0, "level": 0.95}
    by_figure = {each["figure"]: each for each in said["figures"]}
    assert list(by_figure) == [
        *("loss", "perplexity", "exact_match", "rouge1", "rouge2", "rougeL", "bleu", "bleu1")
    ]
    loss = by_figure["loss"]
    assert loss["difference"]["value"] == loss["adapter"]["value"] - loss["base"]["value"]
    assert loss["base"]["low"] <= loss["base"]["value"] <= loss["base"]["high"]


CHOICES = [
    {"question": "the cat sat", "choices": ["on a mat", "a", "seven small birds"], "answer": 0},
    {"question": "a red", "choices": ["barn", "the old old old barn"], "answer": "B"},
]


def test_choices_are_weighed_as_rows_one_by_one(model: LoadedModel, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "choices.jsonl", CHOICES)
    found = asked(model, path, RowSource(str(path)))
    assert list(found.figures()) == ["loss", "perplexity", "acc", "acc_norm", "acc_token"]
    for row, told in zip(CHOICES, found.predictions, strict=True):
        texts = [str(text) for text in row["choices"]]
        expected = [alone(model, str(row["question"]), text) for text in texts]
        assert told["adapter"]["log_likelihoods"] == pytest.approx(expected, rel=1e-4)
        right = told["choices"].index(told["reference"])
        assert told["adapter"]["scores"]["acc"] == float(expected.index(max(expected)) == right)


def alone(model: LoadedModel, question: str, answer: str) -> float:
    """log p of the answer and its end behind the prompt, token by token, in passes of their own."""
    example = ChoiceExample(question, answer)
    row = model.row_encoder.encode(example, model.bundle.tokenizer)
    prompt = model.row_encoder.prompt(example, model.bundle.tokenizer)
    assert isinstance(row, Encoded)
    assert row.input_ids[: len(prompt.input_ids)] == prompt.input_ids
    total = 0.0
    for at in range(len(prompt.input_ids), len(row.input_ids)):
        chances = model.logits(row.input_ids[:at])[-1].double().log_softmax(-1)
        total += float(chances[row.input_ids[at]])
    return total


def test_rows_that_teach_nothing_are_told(model: LoadedModel, tmp_path: Path) -> None:
    rows = [{"prompt": "a cat", "response": ""}, {"prompt": "a cat", "response": "sat"}]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    found = asked(model, path, RowSource(str(path)))
    assert (found.rows, found.left_out) == (1, 1)
    assert found.predictions[0]["row"] == 2


def test_one_row_has_no_interval(model: LoadedModel, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"prompt": "the cat", "response": "sat"}])
    found = asked(model, path, RowSource(str(path)))
    assert found.settings.resamples == 0
    assert {line.verdict for line in found.lines} == {""}
    assert all(line.compared.model.low is None for line in found.lines)
    assert "In brackets" not in render(found)


def test_gsm8k_rows_are_scored_by_their_number(model: LoadedModel, tmp_path: Path) -> None:
    row = {"question": "the cat saw", "answer": "seven\n#### 7"}
    path = write_rows(tmp_path / "rows.jsonl", [row])
    assert "gsm8k_flexible" in asked(model, path, RowSource(str(path))).figures()


def test_texts_have_a_loss_alone(tmp_path: Path, train: Train) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"text": "the cat sat"}])
    with pytest.raises(UsageError, match="rows are TextExample, and the model reads Prompt"):
        evaluate(train("fp32"), replace(QUICK, source=RowSource(str(path))))


@pytest.mark.parametrize(
    ("request_", "kind", "fault"),
    [
        (Request(metrics=("classes",)), UsageError, "of LabeledExample; these rows are Prompt"),
        (Request(metrics=("rogue",)), LorafwError, "Did you mean 'rouge'"),
        (Request(options={"bleu": {}}), ConfigError, "'bleu' is not measured"),
        (
            Request(metrics=("bleu",), options={"bleu": {"tokenise": "zh"}}),
            ConfigError,
            "Did you mean 'tokenize'",
        ),
        (Request(metrics=("gsm8k",)), DataError, r"run.yaml \(held out\), row 1: .*no number"),
        (Request(RowSource(overrides=["dataset.eval_path=null"])), UsageError, "there are no rows"),
        (Request(RowSource("nowhere.jsonl")), ConfigError, "does not exist"),
    ],
)
def test_faults_are_told(
    run: Path, model: LoadedModel, request_: Request, kind: type[LorafwError], fault: str
) -> None:
    source = request_.source
    if source.overrides:  # no rows are held out where no share of them is
        overrides = [*source.overrides, "dataset.eval_fraction=0"]
        request_ = replace(request_, source=replace(source, overrides=overrides))
    with pytest.raises(kind, match=fault):
        evaluate(run, replace(request_, max_new_tokens=2, resamples=5), load=lambda: model)


def test_the_rows_to_train_on(run: Path, model: LoadedModel) -> None:
    found = evaluate(
        run, replace(QUICK, source=RowSource(split=Split.TRAIN), limit=3), load=lambda: model
    )
    assert found.rows == 3
    assert found.data.endswith("run.yaml (to train on)")


def test_nothing_says_which_rows(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no run\.yaml .*--data"):
        evaluate(tmp_path)
