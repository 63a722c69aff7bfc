"""Files in every format, several at once, and their classes, faults and held-out rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from lorafw.builtin.files import Files
from lorafw.builtin.jsonl import Jsonl
from lorafw.errors import ConfigError, DataError
from lorafw.types import LabeledExample, PromptExample, Split, TextExample

Rows = Sequence[Mapping[str, Any]]


def write_jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def write_json(path: Path, rows: Rows) -> None:
    path.write_text(json.dumps(rows), encoding="utf-8")


def write_csv(path: Path, rows: Rows) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_parquet(path: Path, rows: Rows) -> None:
    parquet.write_table(pa.Table.from_pylist(list(rows)), path)


def write_arrow(path: Path, rows: Rows) -> None:
    table = pa.Table.from_pylist(list(rows))
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    "jsonl": write_jsonl,
    "json": write_json,
    "csv": write_csv,
    "parquet": write_parquet,
    "arrow": write_arrow,
}
FORMATS = pytest.mark.parametrize("suffix", WRITERS)
PAIRS = [{"question": f"q {at}", "answer": f"a\n{at}"} for at in range(60)]


def written(folder: Path, name: str, rows: Rows = PAIRS) -> Path:
    path = folder / name
    WRITERS[path.suffix[1:]](path, rows)
    return path


def train(path: Any, **options: Any) -> list[Any]:
    return list(Files(path=path, eval_fraction=0, **options).load(Split.TRAIN))


@FORMATS
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, f"rows.{suffix}")
    dataset = Files(path=path)
    dataset.preflight()
    assert dataset.produces is PromptExample
    assert train(path) == [PromptExample(row["question"], row["answer"]) for row in PAIRS]
    assert dataset.load(Split.EVAL) == Files(path=written(tmp_path, "same.jsonl")).load(Split.EVAL)
    assert not list(dataset.faults())


def test_several_files_are_read_one_after_another(tmp_path: Path) -> None:
    names = ["b.jsonl", "a.csv", "c.parquet"]
    b, a, c = (written(tmp_path, name, PAIRS[at::3]) for at, name in enumerate(names))
    found = train([b, a, c])
    assert found == [*train(b), *train(a), *train(c)]
    assert set(found) == set(train(tmp_path / "*"))
    assert Files(path=(b, a), eval_path=c).origins() == (b, a, c)
    with pytest.raises(DataError, match="no file matches"):
        train(tmp_path / "*.arrow")


def test_one_file_stays_one_path_and_a_list_a_list(tmp_path: Path) -> None:
    one = Jsonl.from_mapping({"path": "a.jsonl"}, where="dataset")
    assert one.model_dump(mode="json")["path"] == "a.jsonl"
    two = Files.from_mapping({"path": ["a.jsonl", "b.csv"]}, where="dataset")
    assert two.model_dump(mode="json")["path"] == ["a.jsonl", "b.csv"]


@pytest.mark.parametrize(
    ("path", "fault"), [(3, "a path or a list of"), ([], "at least one"), (["a", 3], "a path or")]
)
def test_what_is_no_path_is_a_config_error(path: Any, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault) as caught:
        Files.from_mapping({"path": path}, where="dataset")
    assert caught.value.where == "dataset.path"


def test_preflight_knows_formats_and_missing_files(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.csv")
    text = tmp_path / "rows.txt"
    text.write_text("one\ntwo\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"rows\.txt tells no known format") as caught:
        Files(path=path, eval_path=(path, text)).preflight()
    assert caught.value.where == "dataset.eval_path"
    with pytest.raises(ConfigError, match=r"does not exist\. Did you mean 'rows\.csv'") as caught:
        Files(path=tmp_path / "row.csv").preflight()
    assert caught.value.where == "dataset.path"
    with pytest.raises(DataError, match="is not read"):
        train(text)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'text\nx\n"oops'),
        ("a.json", '[{"text": "x"},\noops'),
        ("a.jsonl", '{"text": "x"}\n['),
    ],
)
def test_produces_reads_no_further_than_the_first_row(
    tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    dataset = Files(path=tmp_path / name)
    assert dataset.produces is TextExample
    assert len(list(dataset.faults())) == 1


def test_held_out_rows_are_read_without_the_rows_to_train_on(tmp_path: Path) -> None:
    path, others = written(tmp_path, "a.jsonl"), written(tmp_path, "b.jsonl", PAIRS[:3])
    with path.open("a") as file:
        file.write("oops")
    dataset = Files(path=path, eval_path=others)
    assert len(dataset.load(Split.EVAL)) == 3
    with pytest.raises(DataError, match="not valid JSON"):
        dataset.load(Split.TRAIN)


@FORMATS
def test_a_file_that_vanished_is_an_error(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(DataError, match=r"gone\.\w+: cannot be read: No such file"):
        train(tmp_path / f"gone.{suffix}")


@FORMATS
def test_a_missing_column_is_named_with_its_row(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, f"rows.{suffix}", [{"question": "q", "reply": "a"}])
    with pytest.raises(DataError, match="its fields are 'question', 'reply'") as caught:
        train(path)
    assert caught.value.where.startswith(str(path))
    with pytest.raises(DataError, match=r"no field 'replie'.*Did you mean 'reply'"):
        train(path, fields={"prompt": "question", "response": "replie"})
    assert train(path, fields={"prompt": "question", "response": "reply"})


def test_a_number_in_a_column_of_texts_is_named_with_its_row(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.parquet", [{"prompt": "q", "response": 3}])
    with pytest.raises(DataError, match=r"rows\.parquet, row 1: field 'response' must be text"):
        train(path)


@FORMATS
def test_an_empty_file_among_others_is_an_error(tmp_path: Path, suffix: str) -> None:
    good, empty = written(tmp_path, "rows.jsonl"), tmp_path / f"empty.{suffix}"
    empty.write_bytes(b"")
    with pytest.raises(DataError, match="holds no rows") as caught:
        train([good, empty])
    assert caught.value.where == str(empty)


def test_every_fault_of_every_file_is_found(tmp_path: Path) -> None:
    first, second, held_out = (tmp_path / name for name in ("a.jsonl", "b.csv", "c.json"))
    first.write_bytes(b'{"text": "a"}\n{"text": 1}\n{oops\n{"text": "\xff"}\n{"prompt": "a"}\n')
    second.write_text("text,more\nx,y\nx\n", encoding="utf-8")
    held_out.write_text('[{"question": "a", "answer": "b"}, 7]', encoding="utf-8")
    dataset = Files(path=(first, second, tmp_path / "gone.csv"), eval_path=held_out)
    expected = {
        f"{first}:2": "must be text",
        f"{first}:3": "not valid JSON",
        f"{first}:4": "not valid UTF-8",
        f"{first}:5": "not of a known kind",
        f"{second}:3": "has 1 values",
        str(tmp_path / "gone.csv"): "cannot be read",
        f"{held_out}:1": "",
    }
    found = list(dataset.faults())
    assert [fault.where for fault in found] == [*expected, f"{held_out}:1"]
    assert all(what in fault.what for fault, what in zip(found, expected.values(), strict=False))
    assert "is a PromptExample, unlike the first row, a TextExample" in found[-2].what
    with pytest.raises(DataError) as caught:
        dataset.load(Split.TRAIN)
    assert str(caught.value) == str(found[0])


LABELLED = [{"text": f"t {at}", "label": ["no", "yes", "maybe"][at % 3]} for at in range(60)]


@FORMATS
def test_named_classes_are_numbered_by_name(tmp_path: Path, suffix: str) -> None:
    dataset = Files(path=written(tmp_path, f"rows.{suffix}", LABELLED))
    assert dataset.produces is LabeledExample
    assert dataset.labels == ("maybe", "no", "yes")
    rows = [*dataset.load(Split.TRAIN), *dataset.load(Split.EVAL)]
    expected = {LabeledExample(f"t {at}", None, (1, 2, 0)[at % 3]) for at in range(60)}
    assert set(rows) == expected


@FORMATS
def test_numbered_classes_keep_their_numbers(tmp_path: Path, suffix: str) -> None:
    rows = [{"sentence1": f"{at}", "sentence2": "b", "label": at % 2} for at in range(9)]
    path = written(tmp_path, f"rows.{suffix}", rows)
    assert Files(path=path).labels == ("0", "1")
    expected = [LabeledExample(str(at), "b", at % 2) for at in range(9)]
    assert train(path) == train(path, classes=("no", "yes")) == expected
    assert Files(path=path, classes=("no", "yes")).labels == ("no", "yes")


def test_a_class_of_the_held_out_rows_must_be_known(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.jsonl", LABELLED)
    held_out = written(tmp_path, "others.jsonl", [{"text": "x", "label": "never"}])
    with pytest.raises(DataError, match="no class 'never'") as caught:
        Files(path=path, eval_path=held_out).load(Split.EVAL)
    assert caught.value.where == f"{held_out}:1"
    numbers = written(tmp_path, "numbers.jsonl", [{"text": "x", "label": 3}])
    with pytest.raises(DataError, match="no class number 3"):
        Files(path=path, eval_path=numbers).load(Split.EVAL)
    with pytest.raises(DataError, match="no class 'maybe'"):
        train(path, classes=("no", "yes"))


def test_numbers_and_names_of_classes_together_are_one_error(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.jsonl", [*LABELLED, {"text": "x", "label": 3}])
    dataset = Files(path=path)
    with pytest.raises(DataError, match="some labels are numbers"):
        dataset.load(Split.TRAIN)
    (fault,) = dataset.faults()
    assert fault.where == str(path)


@pytest.mark.parametrize("classes", [["one"], ["a", "b", "a"]])
def test_classes_are_named_once_each(classes: list[str]) -> None:
    with pytest.raises(ConfigError, match="at least two classes, each once") as caught:
        Files.from_mapping({"path": "x.csv", "classes": classes}, where="dataset")
    assert caught.value.where == "dataset.classes"


def test_rows_that_are_held_out_as_well_are_told(tmp_path: Path) -> None:
    path, others = written(tmp_path, "a.csv", PAIRS[:40]), written(tmp_path, "b.csv", PAIRS[39:])
    (notice,) = Files(path=path, eval_path=others).notices()
    assert notice == f"1 row was left out of training: also in {others}."
    assert not Files(path=path).notices()


def test_plain_text_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.parquet", [{"text": "Once."}, {"text": "Twice."}])
    assert train(path) == [TextExample("Once."), TextExample("Twice.")]
