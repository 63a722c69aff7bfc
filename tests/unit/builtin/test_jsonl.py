"""JSON Lines files as examples, and every way such a file can be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lorafw.builtin.jsonl import Jsonl
from lorafw.errors import ConfigError, DataError
from lorafw.types import ChatExample, Message, PreferenceExample, PromptExample, Split

PAIR = '{"prompt": "Who?", "response": "Me."}'
TURNS = '{"messages": [{"role": "user", "content": "Who?"}]}'


def written(folder: Path, content: str | bytes, name: str = "train.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(count: int, start: int = 0) -> str:
    pairs = ({"prompt": f"q{at}", "response": "r"} for at in range(start, start + count))
    return "\n".join(json.dumps(pair) for pair in pairs)


def all_rows(path: Path, **options: Any) -> list[Any]:
    return list(Jsonl(path=path, eval_fraction=0, **options).load(Split.TRAIN))


def test_pairs_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, PAIR)
    assert Jsonl(path=path).produces is PromptExample
    assert all_rows(path) == [PromptExample("Who?", "Me.")]


def test_conversations_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, TURNS)
    assert Jsonl(path=path).produces is ChatExample
    assert all_rows(path) == [ChatExample((Message("user", "Who?"),))]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + PAIR.encode(),
        f"{PAIR}\r\n".encode(),
        f"\n\n  \r\n{PAIR}\n\n".encode(),
    ],
    ids=["byte order mark", "carriage return", "blank lines"],
)
def test_files_of_other_systems_are_read(tmp_path: Path, content: bytes) -> None:
    assert all_rows(written(tmp_path, content)) == [PromptExample("Who?", "Me.")]


def test_a_line_separator_inside_a_text_ends_no_line(tmp_path: Path) -> None:
    path = written(tmp_path, PAIR.replace("Me.", "Me.\u2028You."))
    assert all_rows(path) == [PromptExample("Who?", "Me.\u2028You.")]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_list_is_read(tmp_path: Path, indent: int | None, mark: str) -> None:
    listed = json.dumps([json.loads(PAIR)] * 2, indent=indent)
    path = written(tmp_path, mark + listed, "train.json")
    assert all_rows(path) == [PromptExample("Who?", "Me.")] * 2


def test_a_json_file_may_hold_lines(tmp_path: Path) -> None:
    assert len(all_rows(written(tmp_path, rows(3), "train.json"))) == 3


@pytest.mark.parametrize(
    ("content", "line", "fault"),
    [
        (f"{PAIR}\n{{oops", 2, "not valid JSON"),
        (f"{PAIR}\n\n[1, 2]", 3, r"holds \[1, 2\], not an object"),
        (f"{PAIR}\n{TURNS}", 2, "ChatExample, unlike the first row, a PromptExample"),
        (f'{PAIR}\n{{"prompt": 1, "response": "x"}}', 2, "field 'prompt' must be text"),
        (f'{PAIR}\n{{"texts": "x"}}', 2, "its fields are 'texts'"),
        (f'{PAIR}\n{{"text": "x"}}', 2, "TextExample, unlike the first row"),
        (f"{PAIR}\n".encode() + b'{"prompt": "\xff", "response": "x"}', 2, "not valid UTF-8"),
        (f'{PAIR}\n{{"prompt": "\\ud800", "response": "x"}}', 2, "not valid Unicode"),
        (f'{PAIR}\n{{"prompt": {"1" * 5000}}}', 2, "not JSON that can be read"),
        (f"{PAIR}\n" + "[" * 100_000, 2, "not JSON that can be read|not valid JSON"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, content: str | bytes, line: int, fault: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataError, match=fault) as caught:
        all_rows(path)
    assert caught.value.where == f"{path}:{line}"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (f"[\n{PAIR},\n{PAIR},\n7]", 4),
        (f"[\n{PAIR},\n\n{TURNS}]", 4),
        (f"[\n{PAIR},\n oops]", 3),
        (b'[\n\n{"prompt": "\xff"}]', 3),
    ],
)
def test_a_wrong_item_of_a_list_is_named(tmp_path: Path, content: str | bytes, line: int) -> None:
    path = written(tmp_path, content, "train.json")
    with pytest.raises(DataError) as caught:
        all_rows(path)
    assert caught.value.where == f"{path}:{line}"


@pytest.mark.parametrize(
    ("content", "name"), [("", "a.jsonl"), ("\n\n", "a.jsonl"), ("[]", "a.json")]
)
def test_a_file_without_rows_is_an_error(tmp_path: Path, content: str, name: str) -> None:
    dataset = Jsonl(path=written(tmp_path, content, name))
    with pytest.raises(DataError, match="holds no rows"):
        dataset.load(Split.TRAIN)
    with pytest.raises(DataError, match="holds no rows"):
        _ = dataset.produces


def test_produces_reads_no_further_than_the_first_row(tmp_path: Path) -> None:
    assert Jsonl(path=written(tmp_path, f"{PAIR}\noops")).produces is PromptExample


def test_the_fields_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, '{"q": "Who?", "solution": "Me.", "answer": "other"}')
    found = all_rows(path, fields={"prompt": "q", "response": "solution"})
    assert found == [PromptExample("Who?", "Me.")]


@pytest.mark.parametrize("fields", [{"promt": "q", "response": "a"}, {"prompt": "q"}])
def test_a_wrong_part_among_the_fields_is_a_config_error(fields: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        Jsonl.from_mapping({"path": "x.jsonl", "fields": fields}, where="dataset")
    assert caught.value.where == "dataset.fields"


def test_preflight_misses_files(tmp_path: Path) -> None:
    path = written(tmp_path, PAIR)
    Jsonl(path=path, eval_path=path).preflight()
    with pytest.raises(
        ConfigError, match=r"does not exist\. Did you mean 'train\.jsonl'"
    ) as caught:
        Jsonl(path=tmp_path / "tran.jsonl").preflight()
    assert caught.value.where == "dataset.path"
    with pytest.raises(ConfigError, match="is a folder") as caught:
        Jsonl(path=path, eval_path=tmp_path).preflight()
    assert caught.value.where == "dataset.eval_path"
    with pytest.raises(ConfigError, match="does not exist"):
        Jsonl(path=tmp_path / "nowhere" / "train.jsonl").preflight()


def test_a_file_that_vanished_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        Jsonl(path=tmp_path / "gone.jsonl").load(Split.TRAIN)


def test_some_rows_are_held_out(tmp_path: Path) -> None:
    dataset = Jsonl(path=written(tmp_path, rows(400)), eval_fraction=0.1)
    train, held_out = dataset.load(Split.TRAIN), dataset.load(Split.EVAL)
    assert len(train) + len(held_out) == 400
    assert 20 < len(held_out) < 60
    assert not set(train) & set(held_out)
    assert dataset.load(Split.EVAL) == held_out


def test_the_held_out_rows_are_limited(tmp_path: Path) -> None:
    path = written(tmp_path, rows(400))
    assert len(Jsonl(path=path, eval_limit=3).load(Split.EVAL)) == 3
    assert len(Jsonl(path=path, eval_limit=3).load(Split.TRAIN)) == 397


def test_a_file_of_held_out_rows_is_kept_out_of_training(tmp_path: Path) -> None:
    path = written(tmp_path, rows(10))
    eval_path = written(tmp_path, rows(10, start=8), "eval.jsonl")
    dataset = Jsonl(path=path, eval_path=eval_path)
    assert len(dataset.load(Split.TRAIN)) == 8
    assert len(dataset.load(Split.EVAL)) == 10
    limited = Jsonl(path=path, eval_path=eval_path, eval_limit=4)
    assert len(limited.load(Split.EVAL)) == 4
    assert limited.load(Split.TRAIN) == dataset.load(Split.TRAIN)


def test_held_out_rows_of_another_kind_are_an_error(tmp_path: Path) -> None:
    eval_path = written(tmp_path, TURNS, "eval.jsonl")
    with pytest.raises(DataError, match=r"eval\.jsonl:1: is a ChatExample"):
        Jsonl(path=written(tmp_path, PAIR), eval_path=eval_path).load(Split.EVAL)


def test_the_same_file_twice_leaves_nothing_to_train(tmp_path: Path) -> None:
    path = written(tmp_path, PAIR)
    with pytest.raises(DataError, match="none is left to train on"):
        Jsonl(path=path, eval_path=path).load(Split.TRAIN)


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("gsm8k/train.jsonl", PromptExample, 7473),
        ("identity/identity.json", PromptExample, 91),
        ("identity/lora_identity.jsonl", ChatExample, 91),
        ("multitask/svamp.jsonl", PromptExample, 300),
    ],
)
def test_real_files_are_read_whole(shared: Path, name: str, kind: type, count: int) -> None:
    dataset = Jsonl(path=shared / "data" / name)
    assert dataset.produces is kind
    assert len(dataset.load(Split.TRAIN)) + len(dataset.load(Split.EVAL)) == count


def test_tools_are_carried_along(shared: Path) -> None:
    path = shared / "data/toolcall/glaive_toolcall_en_demo.json"
    given = [row["tools"] for row in json.loads(path.read_text(encoding="utf-8"))]
    found = all_rows(path)
    assert [json.loads(row.tools or "[]") for row in found] == [json.loads(t) for t in given]
    without = all_rows(path, fields={"messages": "conversations"})
    assert {row.tools for row in without} == {""}
    assert [row.messages for row in without] == [row.messages for row in found]


def test_preferences_are_read(shared: Path) -> None:
    first, *others = all_rows(shared / "data/preference/dpo_en_demo.json")
    assert len(others) == 299
    assert isinstance(first, PreferenceExample)
    assert [turn.role for turn in first.messages] == ["user"]
    assert [turn.role for turn in (*first.chosen, *first.rejected)] == ["assistant"] * 2
    assert first.chosen != first.rejected


def test_answers_marked_as_unwanted_are_not_trained_on(shared: Path) -> None:
    with pytest.raises(DataError, match="'label', which would be left out"):
        all_rows(shared / "data/preference/kto_en_demo.json")
