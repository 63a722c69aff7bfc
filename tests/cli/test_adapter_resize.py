"""`lorafw adapter resize`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.adapters import assert_one_line, call, cut_off, written
from tests.unit.adapters.states import SHAPES, random_adapter, same_tensors

from lorafw.adapters.layout.peft_layout import read_adapter, read_recipe


def test_an_adapter_is_cut_and_the_errors_are_told(tmp_path: Path) -> None:
    source = written(tmp_path / "in", base="sha256:1", encoder={"use": "chat"})
    result = call("resize", source, tmp_path / "out", "--rank", 1)
    assert result.exit_code == 0, result.output
    head, *rows, last = result.stdout.splitlines()
    assert head.split() == ["MODULE", "RANK", "NOW", "ERROR"]
    assert [row.split()[:3] for row in rows] == [[module, "3", "1"] for module in SHAPES]
    assert all(row.endswith("%") for row in rows)
    assert last == f"Wrote {tmp_path / 'out'}."
    assert read_adapter(tmp_path / "out").spec.rank == 1
    recipe = read_recipe(tmp_path / "out")
    assert (recipe["base"], recipe["encoder"]) == ("sha256:1", {"use": "chat"})
    assert [(step["verb"], step["rank"]) for step in recipe["history"]] == [("resize", 1)]


def test_energy_chooses_the_ranks(tmp_path: Path) -> None:
    source = written(tmp_path / "in")
    assert call("resize", source, tmp_path / "out", "--energy", 0.6).exit_code == 0
    spec = read_adapter(tmp_path / "out").spec
    assert any(spec.rank_of(module) < 3 for module in SHAPES)
    assert read_recipe(tmp_path / "out")["history"][0]["energy"] == 0.6


def test_what_is_there_stays_unless_it_is_an_adapter_and_asked_for(tmp_path: Path) -> None:
    source, taken = written(tmp_path / "in"), written(tmp_path / "out", random_adapter(1))
    other = tmp_path / "other"
    other.mkdir()
    (other / "diary.txt").touch()
    rank = ("--rank", 1)
    assert_one_line(call("resize", source, taken, *rank), 2, "exists already", "--overwrite")
    assert same_tensors(read_adapter(taken), random_adapter(1))
    assert_one_line(call("resize", source, other, *rank, "--overwrite"), 2, "is no adapter")
    assert [file.name for file in other.iterdir()] == ["diary.txt"]
    assert call("resize", source, taken, *rank, "--overwrite").exit_code == 0
    assert read_adapter(taken).spec.rank == 1
    assert call("resize", source, source, *rank, "--overwrite").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "other", "out"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "one of --rank and --energy is needed"),
        (["--rank", "1", "--energy", "0.5"], "and not both"),
        (["--rank", "0"], "--rank"),
        (["--rank", "-2"], "--rank"),
        (["--rank", "x"], "--rank"),
        (["--rank", "4"], "rank 4 is above the adapter's own, 3"),
        (["--energy", "0"], "--energy"),
        (["--energy", "1.5"], "--energy"),
        (["--energy", "nan"], "energy"),
    ],
)
def test_wrong_requests(tmp_path: Path, flags: list[str], told: str) -> None:
    source = written(tmp_path / "in")
    assert_one_line(call("resize", source, tmp_path / "out", *flags), 2, told)
    assert not (tmp_path / "out").exists()


def test_the_current_folder_can_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(written(tmp_path / "in"))
    assert call("resize", ".", ".", "--rank", 1, "--overwrite").exit_code == 0
    assert read_adapter(tmp_path / "in").spec.rank == 1


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = call("resize", written(tmp_path / "in"), tmp_path / "file" / "out", "--rank", 1)
    assert_one_line(result, 1, "cannot be written: ")


def test_what_is_no_adapter_or_a_damaged_one(tmp_path: Path) -> None:
    out, rank = tmp_path / "out", ("--rank", 1)
    assert_one_line(call("resize", tmp_path / "none", out, *rank), 1, "none", "is missing")
    assert_one_line(call("resize", cut_off(written(tmp_path / "a")), out, *rank), 1, "is damaged")
    assert not out.exists()


def test_another_method_is_refused(shared: Path, tmp_path: Path) -> None:
    source = shared / "golden" / "peft" / "ia3"
    result = call("resize", source, tmp_path / "out", "--rank", 1)
    assert_one_line(result, 1, "holds no factors A and B; its method is IA3")
