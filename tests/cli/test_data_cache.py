"""`lorafw data cache`: what is kept, and taking it away."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lorafw.builtin.jsonl import Jsonl
from lorafw.builtin.prompt import Prompt
from lorafw.cli.main import main
from lorafw.data.cache.entry import Entry
from lorafw.data.cache.key import Recipe
from lorafw.data.cache.lock import locked
from lorafw.data.cache.place import cache_folder
from lorafw.data.cache.rows import RowCache
from lorafw.testing.toys import toy_tokenizer
from lorafw.types import Split

DAY = 86400


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("LORAFW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def entry(folder: Path, tmp_path: Path) -> Entry:
    """Five rows that are kept."""
    file = tmp_path / "cats.jsonl"
    lines = [f'{{"prompt": "the {n}", "response": "cat"}}\n' for n in range(5)]
    file.write_text("".join(lines), encoding="utf-8")
    recipe = Recipe(Jsonl(path=file, eval_fraction=0), Prompt(), toy_tokenizer(), Split.TRAIN)
    RowCache(folder, print).prepare(recipe)
    return Entry(folder / recipe.key())


def call(*arguments: str) -> str:
    found = CliRunner().invoke(main, ["data", "cache", *arguments])
    assert found.exit_code == 0, found.output
    return found.output


def test_list_tells_what_is_kept(folder: Path, entry: Entry) -> None:
    head, row, total = call("list").splitlines()
    assert re.split(r" {2,}", head) == [
        "LAST USED",
        "ROWS",
        "TOKENS",
        "SIZE",
        "SPLIT",
        "DATASET",
        "ENCODER",
        "TOKENIZER",
    ]
    used, rows, tokens, size, *names = re.split(r" {2,}", row)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", used)
    assert (rows, names) == ("5", ["train", "cats.jsonl", "prompt", "TokenizersBackend"])
    about = entry.read()
    assert about is not None
    assert tokens == str(about.report.tokens)
    assert total == f"{size}: 1 split, 5 rows in {folder}"


def test_an_empty_cache(folder: Path) -> None:
    assert call("list") == f"0 B: 0 splits, 0 rows in {folder}\n"
    assert call("clear") == f"Freed 0 B: 0 splits, 0 rows in {folder}\n"
    assert not folder.exists()


def test_clear_says_what_it_freed(folder: Path, entry: Entry) -> None:
    size = sum(file.stat().st_size for file in entry.path.iterdir())
    assert call("clear") == f"Freed {size / 1000:.1f} kB: 1 split, 5 rows in {folder}\n"
    assert list(folder.iterdir()) == []


def test_clear_spares_what_was_used_lately(entry: Entry) -> None:
    call("clear", "--older-than", "2")
    assert entry.rows.exists()
    for path in (entry.rows, entry.about, entry.path):
        before = path.stat().st_mtime - 3 * DAY
        os.utime(path, (before, before))
    call("clear", "--older-than", "2")
    assert not entry.path.exists()


def test_clear_takes_nothing_that_is_not_its_own(folder: Path, entry: Entry) -> None:
    mine = folder / "thesis"
    mine.mkdir()
    (folder / "notes.txt").touch()
    call("clear")
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", "thesis"]


def test_clear_leaves_what_is_being_written(entry: Entry) -> None:
    unfinished = entry.unfinished()
    unfinished.path.mkdir()
    with locked(entry.lock):
        assert call("clear").startswith("Freed 0 B: 0 splits")
    assert "unfinished or damaged" in call("list")
    call("clear")
    assert not unfinished.path.exists()
    assert not entry.path.exists()


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"LORAFW_CACHE": "/a/b"}, "/a/b"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/lorafw/rows"),
        ({"HOME": "/home/me"}, "/home/me/.cache/lorafw/rows"),
    ],
)
def test_the_place(variables: dict[str, str], place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LORAFW_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(place)


def test_neither_imports_torch(folder: Path) -> None:
    code = (
        "import sys; from lorafw.cli.main import main\n"
        "for verb in (['list'], ['clear']):\n"
        "    main(['data', 'cache', *verb], standalone_mode=False)\n"
        "assert not {'torch', 'transformers', 'pyarrow'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
