"""`lorafw data preview`: the rows of a run, before it starts."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lorafw._work import Work
from lorafw.assembly.compose import compose
from lorafw.assembly.config import read_config
from lorafw.assembly.registry import Registry
from lorafw.cli.main import main
from lorafw.contracts.trainer import silent
from lorafw.types import IGNORE_INDEX, Split

Lorafw = Callable[..., "subprocess.CompletedProcess[str]"]

ROWS = [
    {"prompt": "Who are you?", "response": "I am a ship's cook."},
    {"prompt": "Where does the camel live?", "response": ""},
    {"prompt": "Tell me where the camel lives. " * 40, "response": "Ahoy, matey! In the desert."},
    {"prompt": "who are  YOU?", "response": "Arr!\x1b[31m"},
    {"prompt": "Who are you?", "response": "I am a ship's cook."},
]
HELD_OUT = [{"prompt": "Where is the pole?", "response": "Up."}]
CONFIG = """\
dataset: {use: jsonl, path: rows.jsonl, eval_path: held-out.jsonl}
model: {use: llama, path: "lorafw:demo"}
injector: custom
trainer: ddp
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config with a few rows of every fate, in the current folder."""
    for name, rows in (("rows", ROWS), ("held-out", HELD_OUT)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text)
    (tmp_path / "lorafw.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "lorafw.yaml"


def preview(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["data", "preview", *arguments], catch_exceptions=False)


def told(*arguments: str) -> dict[str, Any]:
    found = preview(*arguments, "--json")
    assert found.exit_code == 0, found.stderr
    record: dict[str, Any] = json.loads(found.stdout)
    return record


def shown_ids(record: dict[str, Any]) -> list[int]:
    return [token["id"] for token in record["row"]["tokens"]]


@pytest.mark.parametrize("kept_rows", [True, False], ids=["from the cache", "encoded afresh"])
def test_the_ids_are_those_of_the_run(job: Path, kept_rows: bool) -> None:
    config = read_config(Registry(), path=job, overrides=[f"run.cache={str(kept_rows).lower()}"])
    parts = compose(config, Registry())
    for _ in range(2 if kept_rows else 1):
        work = Work(config, parts, silent)
        work.read_data()
    kept = [told("--row", number, "--limit", "0") for number in ("1", "3", "4", "5")]
    rows = list(work._train.rows)
    assert [shown_ids(record) for record in kept] == [list(row.input_ids) for row in rows]
    for record, row in zip(kept, rows, strict=True):
        labels = [
            token["id"] if token["trained"] else IGNORE_INDEX for token in record["row"]["tokens"]
        ]
        assert labels == list(row.labels)
        assert record["row"]["cut"] == row.cut
    held_out = told("--split", "eval", "--limit", "0")
    assert work._held_out is not None
    assert shown_ids(held_out) == list(work._held_out.rows[0].input_ids)


def test_what_stands_before_the_answer_is_what_generation_begins_with(job: Path) -> None:
    parts = compose(read_config(Registry(), path=job), Registry())
    tokenizer = parts.model.tokenizer()
    for number, example in enumerate(parts.dataset.load(Split.TRAIN), 1):
        record = told("--row", str(number), "--limit", "0")
        given = parts.encoder.model_copy(update={"max_length": tokenizer.model_max_length})
        prompt = list(given.prompt(example, tokenizer).input_ids)
        assert shown_ids(record)[: record["row"]["prompt_tokens"]] == prompt


def test_statistics_and_duplicates(job: Path) -> None:
    assert job.exists()
    record = told()
    statistics, duplicates = record["statistics"], record["duplicates"]
    assert (statistics["rows"], statistics["kept"], statistics["max_length"]) == (5, 4, 256)
    assert statistics["left_out"] == {"empty response": [2]}
    assert (statistics["cut_rows"], statistics["refused"]) == (1, {})
    assert statistics["lengths"]["longest"] == 256
    assert duplicates["copies"] == [5]
    assert duplicates["asked_again"] == [4]
    assert told("--limit", "3")["duplicates"]["copies"] == []


def test_the_plain_text_marks_what_is_trained_with_brackets(job: Path) -> None:
    assert job.exists()
    text = preview("--plain").stdout
    assert text.startswith("Row 1 of 5 (train): ")
    assert "\n\n<s><|user|>Who are you?<|assistant|>⟦I am a ship's cook.</s>⟧\n\n" in text
    assert re.search(r"\ntemplate  -        1 '<s>'  4 '<\|user\|>'\n", text)
    assert re.search(r"\nresponse  yes      \d+ 'I'", text)
    assert "  left out  1 (row 2): empty response" in text
    assert "  rows to train on that are an earlier one  1 (row 5)\n" in text


def test_a_row_that_is_left_out_says_why(job: Path) -> None:
    assert job.exists()
    text = preview("--row", "2", "--limit", "0").stdout
    assert text.startswith(
        "Row 2 of 5 (train): left out of training (empty response); the model would be given\n"
    )
    assert "⟦" not in text
    assert "Statistics" not in text


def test_rows_cannot_write_to_the_terminal(job: Path) -> None:
    assert job.exists()
    assert "\x1b" not in preview("--row", "4", "--plain").stdout
    assert "Arr!\\x1b[31m" in preview("--row", "4", "--plain").stdout


def test_colours_are_for_terminals(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert job.exists()
    assert "⟦" in preview().stdout
    monkeypatch.setattr("lorafw.cli.data_preview._shows_colour", lambda: True)
    coloured = CliRunner().invoke(main, ["data", "preview"], color=True).stdout
    assert "\x1b[32m\x1b[1mI am a ship's cook.</s>\x1b[0m" in coloured
    assert "⟦" not in coloured
    assert "\x1b" not in CliRunner().invoke(main, ["data", "preview", "--plain"], color=True).stdout


def test_neither_trainer_nor_injector_nor_weights_are_needed(job: Path) -> None:
    from lorafw.models.folder import resolve

    job.unlink()
    base = job.parent / "base"
    base.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (source := resolve("lorafw:demo") / name).exists():
            (base / name).write_bytes(source.read_bytes())
    parts = ["--dataset", "jsonl", "-o", "dataset.path=rows.jsonl", "--model", "llama"]
    assert told(*parts, "-o", "model.path=base", "--limit", "1")["total"] > 0
    missing = preview("--dataset", "jsonl", "-o", "dataset.path=rows.jsonl")
    assert (missing.exit_code, "which model to use" in missing.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--row", "9"], "Error: --row: there is no row 9: split 'train' has 5 rows.\n"),
        (["--row", "2", "--split", "eval"], "there is no row 2: split 'eval' has 1 row.\n"),
        (["--row", "0"], "0 is not in the range"),
        (["--split", "test"], "'test' is not one of 'train', 'eval'"),
        (["-o", "dataset.path=row.jsonl"], "row.jsonl does not exist"),
    ],
)
def test_a_wrong_request(job: Path, arguments: list[str], fault: str) -> None:
    assert job.exists()
    found = preview(*arguments)
    assert found.exit_code == 2
    assert fault in found.stderr


def test_a_bad_row_is_told_with_its_line(job: Path) -> None:
    with (job.parent / "rows.jsonl").open("a") as file:
        file.write("{\n")
    found = preview()
    assert (found.exit_code, found.stdout) == (1, "")
    assert "rows.jsonl:6: " in found.stderr


def test_a_template_that_refuses_a_row_is_counted(job: Path) -> None:
    assert job.exists()
    picky = "{% if 'camel' in messages[0].content %}{{ raise_exception('no camels') }}{% endif %}"
    rest = "{% for message in messages %}{{ message.content }}:{% endfor %}"
    record = told("-o", f'encoder={{use: chat, template: "{picky}{rest}"}}', "--row", "1")
    [(reason, rows)] = record["statistics"]["refused"].items()
    assert "no camels" in reason
    assert rows == [2, 3]


def test_rows_that_belong_to_classes(job: Path) -> None:
    rows = [{"text": f"Where is {at}?", "label": "place"} for at in range(3)]
    rows.append({"text": "Who is there?", "label": "person"})
    (job.parent / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["--config", "none.yaml", "--dataset", "jsonl", "--model", "auto"]
    (job.parent / "none.yaml").write_text("")
    given = ["dataset.path=rows.jsonl", "model.path=lorafw:demo", "dataset.eval_fraction=0"]
    text = preview(*flags, *(word for key in given for word in ("-o", key))).stdout
    assert re.match(r"Row 1 of 4 \(train\): \d+ tokens, class place\n", text)
    assert "  classes  person 1, place 3\n" in text
    assert "⟦" not in text
