"""`lorafw adapter combine`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.adapters import assert_one_line, call, cut_off, written
from tests.unit.adapters.states import SHAPES, assert_updates, dense_update, random_adapter

from lorafw.adapters.layout.peft_layout import read_adapter, read_recipe


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two adapters of one base."""
    one, other = (
        written(tmp_path / name, random_adapter(seed), base="sha256:1", model={"use": "auto"})
        for seed, name in enumerate("ab")
    )
    return one, other


def test_linear_is_the_weighted_sum(two: tuple[Path, Path], tmp_path: Path) -> None:
    result = call("combine", tmp_path / "out", *two, "--weights", "0.5,-2")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"Wrote {tmp_path / 'out'}."
    states = random_adapter(0), random_adapter(1)
    expected = {
        m: 0.5 * dense_update(states[0], m) - 2 * dense_update(states[1], m) for m in SHAPES
    }
    assert_updates(read_adapter(tmp_path / "out"), expected)
    recipe = read_recipe(tmp_path / "out")
    assert (recipe["base"], recipe["model"]) == ("sha256:1", {"use": "auto"})
    (step,) = recipe["history"]
    assert (step["verb"], step["method"], step["weights"]) == ("combine", "linear", [0.5, -2])
    assert [each["path"] for each in step["of"]] == list(map(str, two))


@pytest.mark.parametrize("method", ["svd", "ties", "dare-linear", "dare-ties"])
def test_other_methods_tell_their_errors(
    two: tuple[Path, Path], tmp_path: Path, method: str
) -> None:
    flags = ["--method", method, "--rank", "2", "--density", "0.7", "--seed", "5"]
    result = call("combine", tmp_path / "out", *two, *flags)
    assert result.exit_code == 0, result.output
    head, *rows, _ = result.stdout.splitlines()
    assert head.split() == ["MODULE", "RANK", "ERROR"]
    assert [row.split()[:2] for row in rows] == [[module, "2"] for module in SHAPES]
    assert read_adapter(tmp_path / "out").spec.rank == 2


def test_seeds_are_told_apart(two: tuple[Path, Path], tmp_path: Path) -> None:
    for name, seed in (("x", 1), ("y", 1), ("z", 2)):
        flags = ["--method", "dare-linear", "--seed", str(seed)]
        assert call("combine", tmp_path / name, *two, *flags).exit_code == 0
    files = {name: (tmp_path / name / "adapter_model.safetensors").read_bytes() for name in "xyz"}
    assert files["x"] == files["y"] != files["z"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--weights", "1"], "1 weights for 2 adapters"),
        (["--weights", "1,2,3"], "3 weights for 2 adapters"),
        (["--weights", "1,x"], "'1,x' is no list of numbers"),
        (["--weights", ""], "is no list of numbers"),
        (["--weights", "1,nan"], "weight nan is no number"),
        (["--rank", "0"], "--rank"),
        (["--density", "0"], "--density"),
        (["--density", "2"], "--density"),
        (["--method", "tise"], "--method"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_wrong_requests(
    two: tuple[Path, Path], tmp_path: Path, flags: list[str], told: str
) -> None:
    assert_one_line(call("combine", tmp_path / "out", *two, *flags), 2, told)
    assert not (tmp_path / "out").exists()


def test_adapters_that_do_not_fit(two: tuple[Path, Path], tmp_path: Path) -> None:
    out, (one, _) = tmp_path / "out", two
    other_base = written(tmp_path / "base", base="sha256:2")
    assert_one_line(call("combine", out, one, other_base), 1, str(other_base), "base model")
    wide = written(tmp_path / "wide", random_adapter(shapes={"layers.0.q": (6, 9)}))
    assert_one_line(call("combine", out, one, wide), 1, str(wide), "layers.0.q maps 9 features")
    dora = written(tmp_path / "dora", random_adapter(use_dora=True))
    assert_one_line(call("combine", out, one, dora), 1, str(dora), "DoRA")
    assert_one_line(call("combine", out, one, cut_off(dora)), 1, "is damaged")
    assert_one_line(call("combine", out, one, tmp_path / "none"), 1, "is missing")
    assert_one_line(call("combine", two[0], *two), 2, "exists already")
    assert not out.exists()


def test_an_unknown_base_is_told(two: tuple[Path, Path], tmp_path: Path) -> None:
    stranger = written(tmp_path / "stranger")
    result = call("combine", tmp_path / "out", two[0], stranger)
    assert result.exit_code == 0
    assert result.stderr == (
        f"Note: {stranger} does not say whether its base is that of {two[0]}.\n"
    )
    assert call("combine", tmp_path / "again", *two).stderr == ""
