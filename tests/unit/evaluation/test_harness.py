"""lm-evaluation-harness asks a loaded model; skipped where it is not installed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from tests.unit.evaluation.conftest import Train

import lorafw
from lorafw.cli.main import main
from lorafw.errors import LorafwError
from lorafw.evaluation import harness
from lorafw.inference.loaded import LoadedModel
from lorafw.testing.toys import WORDS


def test_without_the_harness_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(harness, "find_spec", lambda name: None)
    with pytest.raises(LorafwError, match=r"--harness needs\. Run: pip install lm-eval"):
        harness.need_harness()


@pytest.fixture(scope="module")
def model(train: Train) -> LoadedModel:
    return lorafw.load(train("fp32"))


@pytest.fixture(scope="module")
def asked(model: LoadedModel) -> Any:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from lorafw.evaluation._harness_model import HarnessModel

    return HarnessModel(model)


def requests(*arguments: Any) -> list[Any]:
    return [SimpleNamespace(args=each) for each in arguments]


def test_a_continuation_has_the_likelihood_of_its_tokens(asked: Any, model: LoadedModel) -> None:
    pairs = [("the cat sat", " on a mat"), ("", "seven small birds"), ("a ", "red barn")]
    for (context, continuation), (found, greedy) in zip(
        pairs, asked.loglikelihood(requests(*pairs)), strict=True
    ):
        encode = model.bundle.tokenizer.encode
        before = encode(context) or [model.bundle.tokenizer.bos_token_id]
        after = encode(continuation)
        chances = model.logits([*before, *after]).double().log_softmax(-1)[len(before) - 1 : -1]
        assert found == pytest.approx(sum(float(chances[at, id_]) for at, id_ in enumerate(after)))
        assert greedy == (chances.argmax(-1).tolist() == after)


def test_what_it_would_say_itself_is_greedy(asked: Any, model: LoadedModel) -> None:
    decode, encode = model.bundle.tokenizer.decode, model.bundle.tokenizer.encode
    likeliest = [decode([int(model.logits(encode(word))[-1].argmax())]) for word in WORDS]
    pairs = [pair for pair in zip(WORDS, likeliest, strict=True) if pair[1] in WORDS]
    assert pairs
    found = asked.loglikelihood(requests(*((word, f" {said}") for word, said in pairs)))
    assert all(greedy for _, greedy in found)


def test_long_texts_are_read_in_windows(asked: Any, model: LoadedModel) -> None:
    short, long = asked.loglikelihood_rolling(requests(("a red barn",), ("cat " * 300,)))
    ids = model.bundle.tokenizer.encode("a red barn")
    start = model.bundle.tokenizer.bos_token_id
    assert start is not None
    chances = model.logits([start, *ids]).double().log_softmax(-1)
    assert short == pytest.approx(sum(float(chances[at, id_]) for at, id_ in enumerate(ids)))
    assert long < short


def test_answers_end_where_a_task_says(asked: Any, model: LoadedModel) -> None:
    base = type(asked)(model, adapter=False)
    (whole,) = base.generate_until(requests(("the cat sat", {"max_gen_toks": 6})))
    stop = whole.split()[1]
    wishes = {"until": [stop, ""], "max_gen_toks": 6, "do_sample": False}
    (cut,) = base.generate_until(requests(("the cat sat", wishes)))
    assert cut == whole[: whole.index(stop)]


TASK = """\
task: barns
dataset_path: json
dataset_kwargs: {data_files: {test: ROWS}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: answer
metric_list: [{metric: acc}]
"""


@pytest.mark.filterwarnings("ignore")
def test_a_task_of_ones_own(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    row = {"question": "a red", "choices": ["barn", "mat on the cat"], "answer": 0}
    rows = tmp_path / "rows.jsonl"
    rows.write_text(f"{json.dumps(row)}\n" * 3, encoding="utf-8")
    task = tmp_path / "barns.yaml"
    task.write_text(TASK.replace("ROWS", str(rows)), encoding="utf-8")
    words = ["evaluate", str(train("fp32")), "--harness", str(task)]
    found = CliRunner().invoke(main, [*words, "--json", str(tmp_path / "found.json")])
    assert found.exit_code == 0, found.output
    head, line = (each.split() for each in found.stdout.splitlines()[-2:])
    assert head == ["TASK", "FIGURE", "BASE", "ADAPTER"]
    assert line[:2] == ["barns", "acc,none"]
    said = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert said["adapter"]["results"]["barns"]["acc,none"] == float(line[-2])
    missing = CliRunner().invoke(main, [*words[:-1], "barnes"])
    assert "the harness knows no task 'barnes'" in missing.stderr
