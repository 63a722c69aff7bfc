"""Files by name, by pattern and in lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorafw.data.rows.sources.paths import check_files, check_suffixes, files_of
from lorafw.errors import ConfigError, DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jsonl", "a.jsonl", "c.csv", "[a].jsonl", "deep/er/d.jsonl", "e.jsonl/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["b.jsonl"], ["b.jsonl"]),
        (["?.jsonl"], ["a.jsonl", "b.jsonl"]),
        (["c.csv", "?.jsonl", "a.jsonl"], ["c.csv", "a.jsonl", "b.jsonl"]),
        (["[a].jsonl"], ["[a].jsonl"]),
        (["**/d.jsonl"], ["deep/er/d.jsonl"]),
        (["gone.jsonl"], ["gone.jsonl"]),
    ],
)
def test_patterns_stand_for_the_files_they_match(
    folder: Path, paths: list[str], expected: list[str]
) -> None:
    found = files_of(tuple(folder / path for path in paths))
    assert found == [folder / name for name in expected]
    assert files_of(folder / paths[0]) == files_of((folder / paths[0],))


def test_a_pattern_that_matches_nothing_is_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match="no file matches"):
        files_of(folder / "*.parquet")
    with pytest.raises(ConfigError, match="no file matches") as caught:
        check_files("dataset.path", (folder / "a.jsonl", folder / "*.parquet"))
    assert caught.value.where == "dataset.path"


def test_a_missing_file_is_told_with_its_neighbour(folder: Path) -> None:
    check_files("dataset.path", (folder / "a.jsonl", folder / "*.csv"))
    with pytest.raises(ConfigError, match=r"does not exist\. Did you mean 'c\.csv'"):
        check_files("dataset.path", folder / "d.csv")
    with pytest.raises(ConfigError, match=r"is a folder, not a file\. Name its files, .*deep"):
        check_files("dataset.path", folder / "deep")


def test_a_name_must_tell_a_known_format(folder: Path) -> None:
    check_suffixes("dataset.path", [folder / "A.JSONL"], [".jsonl"])
    with pytest.raises(ConfigError, match=r"c\.csv tells no known format\. Known: \.jsonl"):
        check_suffixes("dataset.path", [folder / "c.csv"], [".jsonl"])
