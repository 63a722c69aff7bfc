"""`lorafw evaluate` on a tiny adapter: the table, the files, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.docs.pages import DOCS, blocks
from tests.unit.evaluation.conftest import sentences, write_rows

import lorafw
from lorafw.cli.main import main
from lorafw.testing.toys import toy_folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `runs/pirate`, rows in `test.jsonl` and a base model in `base`."""
    folder = tmp_path_factory.mktemp("place")
    config = {
        "run": {"output": str(folder / "runs" / "pirate"), "cache": False},
        "dataset": {
            "use": "jsonl",
            "path": str(write_rows(folder / "train.jsonl", sentences(8, 1))),
            "eval_path": str(write_rows(folder / "test.jsonl", sentences(6, 2))),
        },
        "model": {"use": "auto", "path": str(toy_folder(folder / "base"))},
        "injector": {"use": "custom", "r": 4},
        "trainer": "ddp",
        "plan": {"global_batch_size": 4, "learning_rate": 0.05},
        "listeners": [],
    }
    lorafw.run(config)
    choices = {"question": "a cat", "choices": ["sat", "on a mat"], "answer": 0}
    write_rows(folder / "choices.jsonl", [choices])
    (folder / "FOMC").mkdir()
    for split in ("train", "eval", "test"):
        rows = [{"prompt": f"{split} the cat", "answer": "sat"}]
        (folder / "FOMC" / f"{split}.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def evaluate(*words: object) -> Result:
    quick = ("--resamples", 20, "--max-new-tokens", 4)
    return CliRunner().invoke(main, ["evaluate", *map(str, (*quick, *words))])


def test_a_run_is_measured_on_what_it_held_out(place: Path) -> None:
    found = evaluate(place / "runs/pirate")
    assert found.exit_code == 0, found.output
    head, *lines = found.stdout.splitlines()
    assert head.split() == ["FIGURE", "BASE", "ADAPTER", "DIFFERENCE"]
    assert [line.split()[0] for line in lines[:3]] == ["loss", "perplexity", "exact_match"]
    assert f"6 rows of {place / 'runs/pirate/run.yaml'} (held out)." in found.stdout
    assert "95% intervals, from 20 resamples" in found.stdout


def test_the_files_it_writes(place: Path, tmp_path: Path) -> None:
    record, rows = tmp_path / "e.json", tmp_path / "p.jsonl"
    flags = ("--data", place / "test.jsonl", "--metric", "rouge", "-o", "rouge.x=1")
    assert "rouge.x: unknown option" in evaluate(place / "runs/pirate", *flags).stderr
    found = evaluate(place / "runs/pirate", *flags[:-2], "--json", record, "--predictions", rows)
    assert found.exit_code == 0, found.output
    said = json.loads(record.read_text(encoding="utf-8"))
    assert [line["figure"] for line in said["figures"]][2:] == ["rouge1", "rouge2", "rougeL"]
    assert "rougeL" in (tmp_path / "e.html").read_text(encoding="utf-8")
    told = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    assert [row["reference"] for row in told] == [row["response"] for row in sentences(6, 2)]


def test_a_base_model_has_a_column_of_its_own(place: Path) -> None:
    found = evaluate(place / "base", "--data", place / "test.jsonl", "--limit", 2)
    assert found.exit_code == 0, found.output
    assert found.stdout.splitlines()[0].split() == ["FIGURE", "MODEL"]


PAGE = [
    line.split()[2:]
    for block in blocks(DOCS / "how-to" / "evaluate.md", "sh")
    for line in block.text.splitlines()
    if "--harness" not in line  # needs a network
]


@pytest.mark.parametrize("words", PAGE[1:], ids=" ".join)
def test_the_commands_of_the_page(
    place: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    found = evaluate(*words)
    assert found.exit_code == 0, found.output
    for flag in {"--json", "--predictions"} & set(words):
        assert (place / words[words.index(flag) + 1]).is_file()


def test_the_python_of_the_page(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    (block,) = blocks(DOCS / "how-to" / "evaluate.md", "python")
    exec(compile(block.text, block.name, "exec"), {})
    figures, one, base, example = capsys.readouterr().out.splitlines()
    assert "Estimate" in figures
    assert len(one.split()) == 3
    assert base.startswith("Perplexity(")
    assert example.startswith("Perplexity(")


@pytest.mark.parametrize(
    ("words", "code", "fault"),
    [
        (["--metric", "rogue"], 2, "no metric is called 'rogue'. Did you mean 'rouge'?"),
        (["--data", "test.jsonl", "--config", "run.yaml"], 2, "either --data or --config"),
        (["--dataset", "jsonl"], 2, "--dataset: goes with --data"),
        (["--json", "nowhere/e.json"], 2, "nowhere/e.json: there is no folder nowhere"),
        (["-o", "bleu.tokenize=zh"], 2, "metric 'bleu' is not measured"),
        (["-o", "plan.epochs=2"], 2, "-o plan.epochs: is neither dataset nor metric"),
        (["--resamples", "-1"], 2, "-1 is not in the range"),
        (["--data", "bad.jsonl"], 1, "bad.jsonl:2: field 'response' must be text, not a number"),
    ],
)
def test_what_is_wrong_is_one_line(
    place: Path, words: list[str], code: int, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    write_rows(place / "bad.jsonl", [*sentences(1, 3), {"prompt": "a", "response": 7}])
    found = evaluate("runs/pirate", *words)
    assert (found.exit_code, fault in found.stderr) == (code, True), found.stderr
    assert "Traceback" not in found.stderr
