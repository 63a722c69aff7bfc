"""`lorafw export` and `lorafw verify-export`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.cli.adapters import assert_one_line

import lorafw
from lorafw.cli.main import main
from lorafw.testing.toys import toy_folder


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps that has exported its adapter."""
    place = tmp_path_factory.mktemp("run")
    toy_folder(place / "base")
    rows = [{"prompt": "the cat", "response": "sat on a mat"} for _ in range(4)]
    (place / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    config = {
        "run": {"output": str(place / "run"), "cache": False},
        "dataset": {"use": "jsonl", "path": str(place / "rows.jsonl"), "eval_fraction": 0},
        "model": {"use": "auto", "path": str(place / "base")},
        "injector": {"use": "custom", "r": 4},
        "trainer": {"use": "ddp"},
        "plan": {"max_steps": 2, "learning_rate": 0.05, "global_batch_size": 4},
    }
    lorafw.run(config)
    return place / "run"


def test_a_run_is_exported_into_its_folder(run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(run, tmp_path / "run")
    result = call("export", run, "--to", "merged")
    assert result.exit_code == 0, result.output
    assert "nothing was rounded" in result.stdout
    assert result.stdout.endswith(f"Wrote {run / 'merged'}.\n")
    assert_one_line(call("export", run, "--to", "merged"), 2, "is there already", "--force")
    again = call("export", run, "--to", "merged:max_shard_size=10kB", "--force")
    assert again.exit_code == 0, again.output
    assert (run / "merged" / "model.safetensors.index.json").exists()


def test_a_checkpoint_is_exported_as_the_run_would_have(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(copy / "adapter")
    result = call("export", copy, "--to", "adapter", "--to", "merged", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    for file in ("adapter_model.safetensors", "adapter_config.json", "lorafw.json"):
        found = (tmp_path / "out" / "adapter" / file).read_bytes()
        assert found == (run / "adapter" / file).read_bytes()


def test_a_loss_is_refused_and_then_accepted(run: Path, tmp_path: Path) -> None:
    asked = ("export", run, "--to", "merged:dtype=bf16", "--out", tmp_path / "out")
    assert_one_line(call(*asked), 1, "rounding changes it", "--accept-loss")
    assert not list(tmp_path.iterdir())
    result = call(*asked, "--accept-loss")
    assert result.exit_code == 0, result.output
    assert "numbers were rounded, as accepted" in result.stdout
    verified = call("verify-export", tmp_path / "out")
    assert verified.exit_code == 0
    assert "certified as lossy" in verified.stdout


def test_a_verification_is_a_table_json_and_an_exit_code(run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run / "adapter", tmp_path / "adapter")
    result = call("verify-export", folder)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "It holds.")
    (folder / "lorafw.json").unlink()
    changed = call("verify-export", folder, "--json")
    told = json.loads(changed.stdout)
    assert (changed.exit_code, told["holds"]) == (1, False)
    assert told["faults"] == ["lorafw.json is missing."]
    assert_one_line(call("verify-export", run.parent / "base"), 1, "there is no certificate")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("nowhere", "--to", "merged", "--out", "x"), 1, "there is no such folder"),
        (("nowhere", "--to", "merged"), 2, "--out DIR"),
        (("nowhere", "--to", "merged:dtype"), 2, "is not key=value"),
        (("nowhere", "--to", "gold"), 2, "no exporter is called 'gold'"),
    ],
)
def test_wrong_requests_are_one_line(arguments: tuple[str, ...], code: int, told: str) -> None:
    assert_one_line(call("export", *arguments), code, told)


def test_another_base_is_refused_and_nothing_is_left(run: Path, tmp_path: Path) -> None:
    other = toy_folder(tmp_path / "other", seed=1)
    asked = ("export", run, "--to", "merged", "--out", tmp_path / "out", "--base", other)
    assert_one_line(call(*asked), 1, "was trained on the base")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    forced = call(*asked, "--any-base")
    assert forced.exit_code == 0, forced.output


def test_a_base_without_its_tokenizer_is_one_error(run: Path, tmp_path: Path) -> None:
    bare = toy_folder(tmp_path / "bare")
    for file in bare.glob("*token*"):
        file.unlink()
    asked = ("export", run, "--to", "merged", "--out", tmp_path / "out", "--base", bare)
    assert_one_line(call(*asked), 1, "there is no tokenizer")
    assert not (tmp_path / "out").exists()
