"""`lorafw data validate`: every bad row by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lorafw.cli.main import main

GOOD = '{"prompt": "Who?", "response": "Me."}\n'
OTHER = '{"prompt": "Where?", "response": "Here."}\n'


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good file in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "rows.jsonl"
    path.write_text(GOOD + OTHER)
    return path


def validate(*arguments: str) -> Result:
    path = ["--dataset", "jsonl", "-o", "dataset.path=rows.jsonl"]
    whole = ["data", "validate", *path, *arguments]
    return CliRunner().invoke(main, whole, catch_exceptions=False)


def test_good_rows(rows: Path) -> None:
    assert rows.exists()
    found = validate("-o", "dataset.eval_fraction=0")
    assert (found.exit_code, found.stderr) == (0, "")
    assert found.stdout == "ok: 2 rows to train on, 0 held out\n"


def test_parts_of_different_kinds_are_a_fault(rows: Path) -> None:
    texts = rows.with_name("texts.jsonl")
    texts.write_text('{"text": "a"}\n')
    parts = f"[{{use: jsonl, path: {rows}}}, {{use: jsonl, path: {texts}}}]"
    whole = ["data", "validate", "--dataset", "mix", "-o", f"dataset.parts={parts}"]
    found = CliRunner().invoke(main, whole, catch_exceptions=False)
    assert found.exit_code == 1
    assert "the parts produce PromptExample and TextExample" in found.stderr


def test_every_bad_row_is_listed(rows: Path) -> None:
    bad = '{"prompt": "Who?"}\n{"prompt": 7, "response": "x"}\nnot JSON\n'
    rows.write_bytes((GOOD + bad + OTHER).encode() + b'{"prompt": "\xff", "response": "x"}\n')
    found = validate()
    assert found.exit_code == 1
    places = [line.split(" ")[0] for line in found.stdout.splitlines()]
    assert places == [f"rows.jsonl:{line}:" for line in (2, 3, 4, 6)]
    assert found.stderr == "Error: 4 faults were found.\n"


def test_a_malformed_call_of_a_tool_is_listed(rows: Path) -> None:
    turns = '{"conversations": [{"from": "human", "value": "q"}, %s]}\n'
    good = turns % r'{"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {}}"}'
    bad = turns % '{"from": "function_call", "value": "f(x)"}'
    call = '{"function": {"name": "f", "arguments": "{"}}'
    other = turns % f'{{"role": "assistant", "content": null, "tool_calls": [{call}]}}'
    rows.write_text(good + bad + other)
    found = validate()
    assert found.exit_code == 1
    first, second = found.stdout.splitlines()
    assert first.startswith("rows.jsonl:2: conversations[1].value is not JSON")
    assert second.startswith("rows.jsonl:3: conversations[1].tool_calls[0].arguments is not JSON")


def test_one_fault_of_the_held_out_file(rows: Path) -> None:
    (rows.parent / "held-out.jsonl").write_text(OTHER + "[1]\n")
    found = validate("-o", "dataset.eval_path=held-out.jsonl")
    assert found.stdout.startswith("held-out.jsonl:2: ")
    assert (found.exit_code, found.stderr) == (1, "Error: 1 fault was found.\n")


def test_good_rows_that_leave_nothing_to_train_on(rows: Path) -> None:
    found = validate("-o", f"dataset.eval_path={rows.name}")
    assert found.exit_code == 1
    assert "so none is left to train on" in found.stdout + found.stderr


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["-o", "dataset.path=row.jsonl"], "row.jsonl does not exist. Did you mean 'rows.jsonl'?"),
        (["-o", "dataset.pth=x"], "unknown option. Did you mean 'path'?"),
        (["--config", "preset:trace"], "dataset.path is left for you to set."),
        (["--limit", "3"], "No such option"),
    ],
)
def test_a_wrong_request(rows: Path, arguments: list[str], fault: str) -> None:
    assert rows.exists()
    own = ["-o", "dataset.path=rows.jsonl"] if arguments[0] != "--config" else []
    whole = ["data", "validate", *arguments] if not own else None
    found = CliRunner().invoke(main, whole) if whole else validate(*arguments)
    assert found.exit_code == 2
    assert fault in found.stderr


def test_nothing_but_a_dataset_is_needed() -> None:
    found = CliRunner().invoke(main, ["data", "validate"])
    assert found.exit_code == 2
    assert "nothing says which dataset to use" in found.stderr


def test_a_fault_cannot_write_to_the_terminal(rows: Path) -> None:
    rows.write_text(GOOD + '{"\\u001b[31mprompt": "Who?", "response": "x"}\n')
    found = validate()
    assert found.exit_code == 1
    assert "\x1b" not in found.stdout
    assert "\\x1b[31mprompt" in found.stdout
