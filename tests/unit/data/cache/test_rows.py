"""Rows are encoded once, and what is found later is the same or is encoded again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.unit.data.cache.conftest import LINES, Counted, Remake

from lorafw.data.cache.entry import Entry, digest
from lorafw.data.cache.key import Recipe
from lorafw.data.cache.rows import RowCache
from lorafw.data.encoded.prepare import Prepared, fingerprint, prepare
from lorafw.errors import DataError
from lorafw.types import Split


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cache(folder: Path, said: list[str]) -> RowCache:
    return RowCache(folder, said.append)


def uncached(recipe: Recipe) -> Prepared:
    examples = recipe.dataset.load(recipe.split)
    return prepare(examples, recipe.encoder, recipe.tokenizer, split=recipe.split)


def assert_same(found: Prepared, wanted: Prepared) -> None:
    assert list(found.rows) == list(wanted.rows)
    assert found.report == wanted.report
    assert found.fingerprint == wanted.fingerprint == fingerprint(found.rows)


def test_rows_are_read_once_and_then_found(
    cache: RowCache, recipe: Recipe, remade: Remake, folder: Path, said: list[str]
) -> None:
    first, again = cache.prepare(recipe), remade()
    assert_same(cache.prepare(again), first)
    assert_same(first, uncached(recipe))
    assert isinstance(again.dataset, Counted)
    assert again.dataset.loads == []
    assert said == []
    assert [path.name for path in folder.iterdir()] == [recipe.key()]


def test_each_split_has_rows_of_its_own(cache: RowCache, recipe: Recipe, remade: Remake) -> None:
    held_out = remade(split=Split.EVAL, dataset={"eval_fraction": 0.5})
    assert_same(cache.prepare(held_out), uncached(held_out))
    assert_same(cache.prepare(held_out), uncached(held_out))
    assert cache.prepare(held_out).report.split is Split.EVAL
    assert_same(cache.prepare(recipe), uncached(recipe))


def test_ids_are_those_that_preview_and_generation_see(
    cache: RowCache, recipe: Recipe, tokenizer: Any
) -> None:
    own = replace(recipe, tokenizer=tokenizer)
    examples = own.dataset.load(Split.TRAIN)
    for prepared in (cache.prepare(own), cache.prepare(own)):
        for row, example in zip(prepared.rows, examples, strict=True):
            alone = own.encoder.encode(example, tokenizer)
            assert alone is not None
            assert list(row.input_ids) == list(alone.input_ids)
            assert list(row.labels) == list(alone.labels)
            asked = list(own.encoder.prompt(example, tokenizer).input_ids)
            assert list(row.input_ids[: len(asked)]) == asked


Harm = Callable[[Entry], object]


def _flip_a_byte(entry: Entry) -> None:
    content = bytearray(entry.rows.read_bytes())
    content[len(content) // 2] ^= 1
    entry.rows.write_bytes(content)


def _cut(entry: Entry) -> None:
    entry.rows.write_bytes(entry.rows.read_bytes()[:-100])


def _foreign(entry: Entry) -> None:
    """Another program's Arrow file, with an account that is true of it."""
    table = pa.table({"x": [1]})
    with pa.OSFile(str(entry.rows), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    _told(entry, bytes=entry.rows.stat().st_size, sha256=digest(entry.rows))


def _no_arrow(entry: Entry) -> None:
    entry.rows.write_bytes(b"rows")
    _told(entry, bytes=4, sha256=digest(entry.rows))


def _told(entry: Entry, **changes: Any) -> None:
    about = entry.read()
    assert about is not None
    entry.about.write_text(json.dumps({**asdict(about), **changes}))


def _other_account(entry: Entry) -> None:
    about = entry.read()
    assert about is not None
    _told(entry, report={**asdict(about.report), "rows": 3})


def _a_file(entry: Entry) -> None:
    shutil.rmtree(entry.path)
    entry.path.touch()


HARMS: dict[str, Harm] = {
    "a byte": _flip_a_byte,
    "cut": _cut,
    "empty": lambda entry: entry.rows.write_bytes(b""),
    "foreign": _foreign,
    "no arrow": _no_arrow,
    "other account": _other_account,
    "of another key": lambda entry: _told(entry, key="0" * 64),
    "without rows": lambda entry: entry.rows.unlink(),
    "without account": lambda entry: entry.about.unlink(),
    "account cut": lambda entry: entry.about.write_text("{"),
    "account of something else": lambda entry: entry.about.write_text("{}"),
    "account is binary": lambda entry: entry.about.write_bytes(b"\xff\xfe\x00"),
    "a file": _a_file,
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_what_is_damaged_is_encoded_again(
    cache: RowCache, recipe: Recipe, remade: Remake, folder: Path, said: list[str], harm: Harm
) -> None:
    first = cache.prepare(recipe)
    rows = list(first.rows)
    harm(Entry(folder / recipe.key()))
    again = remade()
    found = cache.prepare(again)
    assert (list(found.rows), found.report) == (rows, first.report)
    assert isinstance(again.dataset, Counted)
    assert again.dataset.loads == [Split.TRAIN]
    assert said == ["Kept rows were damaged; they are encoded again."]
    assert_same(cache.prepare(remade()), found)
    assert len(said) == 1


def test_what_a_killed_process_left_is_in_nobodys_way(
    cache: RowCache, recipe: Recipe, folder: Path
) -> None:
    unfinished = Entry(folder / recipe.key()).unfinished()
    unfinished.path.mkdir(parents=True)
    unfinished.rows.write_bytes(b"half")
    assert_same(cache.prepare(recipe), uncached(recipe))
    assert not unfinished.path.exists()


def test_of_several_that_want_the_same_rows_one_encodes(
    cache: RowCache, remade: Remake, recipe: Recipe
) -> None:
    recipes = [remade() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(cache.prepare, recipes))
    for each in found:
        assert_same(each, uncached(recipe))
    loads = [each.dataset.loads for each in recipes if isinstance(each.dataset, Counted)]
    assert sorted(map(len, loads)) == [0, 0, 0, 0, 0, 1]


def test_a_place_that_cannot_be_written_is_told_and_the_run_goes_on(
    tmp_path: Path, recipe: Recipe, said: list[str]
) -> None:
    (tmp_path / "file").touch()
    cache = RowCache(tmp_path / "file" / "cache", said.append)
    assert_same(cache.prepare(recipe), uncached(recipe))
    assert len(said) == 1
    assert said[0].startswith("Encoded rows are not kept in ")
    assert said[0].endswith(": Not a directory.")


def test_a_full_disk_is_told_and_the_run_goes_on(
    cache: RowCache, recipe: Recipe, folder: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    monkeypatch.setattr(Entry, "rows", property(lambda _: Path("/dev/full")))
    assert_same(cache.prepare(recipe), uncached(recipe))
    assert said == [f"Encoded rows are not kept in {folder}: No space left on device."]
    assert list(folder.iterdir()) == []
    assert isinstance(recipe.dataset, Counted)
    assert recipe.dataset.loads == [Split.TRAIN] * 2  # the second is the test's own


def test_data_that_changes_while_it_is_read_is_not_kept(
    folder: Path, recipe: Recipe, said: list[str], file: Path
) -> None:
    class Changing(Counted):
        def load(self, split: Split) -> Any:
            found = super().load(split)
            file.write_text(json.dumps(LINES[3]), encoding="utf-8")
            return found

    changing = Recipe(Changing(path=file), recipe.encoder, recipe.tokenizer, Split.TRAIN)
    assert len(RowCache(folder, said.append).prepare(changing).rows) > 1
    assert said == [f"Encoded rows are not kept in {folder}: the data changed while it was read."]
    assert list(folder.iterdir()) == []


def test_an_error_leaves_nothing_behind(
    cache: RowCache, remade: Remake, folder: Path, file: Path
) -> None:
    file.write_text('{"prompt": "the", "response": ""}\n', encoding="utf-8")
    with pytest.raises(DataError, match="none of the 1 row"):
        cache.prepare(remade())
    assert list(folder.iterdir()) == []
    file.write_text('{"prompt": "the"\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"rows.jsonl:1"):
        cache.prepare(remade())
    assert list(folder.iterdir()) == []


def test_without_a_folder_nothing_is_kept(recipe: Recipe, folder: Path, said: list[str]) -> None:
    assert_same(RowCache(None, said.append).prepare(recipe), uncached(recipe))
    assert not folder.exists()
    assert said == []


def test_rows_in_use_outlive_their_file(cache: RowCache, recipe: Recipe, folder: Path) -> None:
    found = cache.prepare(recipe)
    Entry(folder / recipe.key()).remove()
    assert_same(found, uncached(recipe))
