"""`lorafw run`: its flags, what it hands to the pipeline, and what it tells at the end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from lorafw.cli.main import main
from lorafw.cli.run import run
from lorafw.training.launching.ranks import Ranks

Lorafw = Callable[..., "subprocess.CompletedProcess[str]"]


class FakeResult:
    """What the pipeline returns."""

    folder = Path("runs/my run")
    adapter = Path("runs/my run/adapter")
    evaluation_before = {"loss": 3.25}  # noqa: RUF012
    evaluation = {"loss": 1.0}  # noqa: RUF012


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, toys: Path, config: Path) -> list[Any]:
    """What a pipeline that trains nothing was called with."""
    found: list[Any] = []

    def fake(config: Any, **options: Any) -> type[FakeResult]:
        found.append((config, options))
        return FakeResult

    pipeline = ModuleType("lorafw.pipeline")
    pipeline.run = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lorafw.pipeline", pipeline)
    monkeypatch.setattr("lorafw.pipeline", pipeline, raising=False)
    monkeypatch.syspath_prepend(toys)
    monkeypatch.chdir(config.parent)
    for variable in ("RANK", "LORAFW_WORKER"):
        monkeypatch.delenv(variable, raising=False)
    return found


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["run", *arguments], catch_exceptions=False)


def test_the_flags_are_frozen() -> None:
    flags = {option for parameter in run.params for option in parameter.opts}
    assert flags == {
        "file",
        *("--dataset", "--model", "--injector", "--trainer", "--encoder", "--objective"),
        *("--scenario", "--exporter", "--listener", "--config", "-o", "--output"),
        *("--resume", "--accept-changed", "--dry-run", "--nproc", "--nnodes", "--node-rank"),
        *("--rdzv-endpoint", "--hostfile", "--max-restarts", "--min-nproc", "--stop-timeout"),
    }
    repeatable = {o.opts[0] for o in run.params if isinstance(o, click.Option) and o.multiple}
    assert repeatable == {"--exporter", "--listener", "-o", "--accept-changed"}


def test_the_config_of_the_folder_is_read(calls: list[Any]) -> None:
    found = invoke("--resume", "--nproc", "2", "--output", "there", "-o", "injector.r=5")
    assert found.exit_code == 0, found.output
    [(config, options)] = calls
    assert config.injector.options == {"r": 5}
    assert config.run.output == Path("there")
    assert options == {"resume": True, "accept_changed": (), "ranks": Ranks(2)}


def test_flags_of_nodes_and_restarts(calls: list[Any]) -> None:
    found = invoke(
        *("--nproc", "4", "--nnodes", "2:3", "--node-rank", "1", "--rdzv-endpoint", "gpu1:1234"),
        *("--max-restarts", "5", "--min-nproc", "2", "--stop-timeout", "7"),
    )
    assert (found.exit_code, found.stdout) == (0, "")
    [(_, options)] = calls
    assert options["ranks"] == Ranks(4, 3, 2, 1, "gpu1:1234", 5, 2, 7.0)


def test_a_host_file_says_it_all(calls: list[Any]) -> None:
    Path("hosts").write_text("192.0.2.7 slots=3\n127.0.0.1 slots=2\n")
    assert invoke("--hostfile", "hosts").exit_code == 0
    assert invoke("--hostfile", "hosts", "--node-rank", "0", "--nproc", "5").exit_code == 0
    first, second = (options["ranks"] for _, options in calls)
    assert first == Ranks(2, 2, None, 1, "192.0.2.7:29500")
    assert second == Ranks(5, 2, None, 0, "192.0.2.7:29500")


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (["--nnodes", "2"], "--node-rank: which of the nodes is this machine?"),
        (["--nnodes", "2", "--node-rank", "0"], "--rdzv-endpoint: several nodes need a place"),
        (["--nnodes", "x"], "--nnodes: 'x' is neither N nor MIN:MAX"),
        (["--hostfile", "none"], "none: No such file"),
    ],
)
def test_ranks_that_cannot_be(flags: list[str], what: str, calls: list[Any]) -> None:
    found = invoke(*flags)
    assert found.exit_code in {1, 2}
    assert found.stderr.startswith(f"Error: {what}")
    assert not calls


def test_a_dry_run_says_what_to_type_where(calls: list[Any]) -> None:
    Path("hosts").write_text("a slots=3\nb\n")
    found = invoke("--dry-run", "--hostfile", "hosts", "--node-rank", "0")
    assert "in 3 processes on this machine, node 0 of 2" in found.stderr
    lines = [line for line in found.stderr.splitlines() if line.startswith("On ")]
    assert [line.partition(":")[0] for line in lines] == ["On a", "On b"]
    assert lines[1].endswith("--node-rank 1")


def test_flags_choose_parts(calls: list[Any]) -> None:
    invoke(
        "--trainer", "other", "--exporter", "toy", "--exporter", "adapter", "--listener", "events"
    )
    [(config, _)] = calls
    assert config.trainer.name == "other"
    assert [choice.name for choice in config.exporters] == ["toy", "adapter"]
    assert [choice.name for choice in config.listeners] == ["events"]
    assert config.notices[0].startswith("trainer.whole: dropped")


def test_another_config_can_be_named(calls: list[Any], config: Path) -> None:
    other = config.rename(config.with_name("other.yaml"))
    assert invoke().exit_code == 2
    assert invoke("--config", str(other)).exit_code == 0
    assert len(calls) == 1


def test_the_end_tells_how_to_go_on(calls: list[Any]) -> None:
    found = invoke()
    assert len(calls) == 1
    assert found.stdout.splitlines() == [
        "Adapter: runs/my run/adapter",
        "Held-out loss: 3.2500 -> 1.0000",
        "Talk to it: lorafw generate 'runs/my run' --prompt \"...\"",
    ]


def test_a_run_without_held_out_rows(calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeResult, "evaluation", {})
    assert "Held-out" not in invoke().stdout
    assert len(calls) == 1


@pytest.mark.parametrize("environment", [{"RANK": "1"}, {"RANK": "0", "LORAFW_WORKER": "1"}])
def test_one_process_tells(
    calls: list[Any], monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert invoke().stdout == ""
    assert len(calls) == 1


def test_rank_0_of_another_launcher_tells(
    calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    assert "Adapter:" in invoke().stdout
    assert len(calls) == 1


def test_a_dry_run_prints_a_config_and_starts_nothing(calls: list[Any], tmp_path: Path) -> None:
    found = invoke("--dry-run", "--trainer", "other", "--nproc", "2")
    assert (found.exit_code, calls) == (0, [])
    assert "Notice: trainer.whole: dropped" in found.stderr
    assert found.stderr.endswith(
        "Would train toy on toy with toy, by other in 2 processes, then export: toy.\n"
    )
    (tmp_path / "printed.yaml").write_text(found.stdout)
    again = invoke("--dry-run", "--config", "printed.yaml")
    assert again.stdout == found.stdout


def test_a_fault_in_the_file_is_one_line(lorafw: Lorafw, toys: Path, config: Path) -> None:
    config.write_text(config.read_text().replace("whole:", "whle:"))
    found = lorafw("run", path=[toys])
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == (
        "Error: lorafw.yaml:6: trainer.whle: unknown option. Did you mean 'whole'?\n"
    )


def test_nothing_said_is_one_line(lorafw: Lorafw) -> None:
    found = lorafw("run", "--model", "llama", "--trainer", "ddp", "--injector", "peft")
    assert found.returncode == 2
    assert found.stderr == (
        "Error: nothing says which dataset to use: pass --dataset NAME "
        "(files, hf, jsonl, mix, trace), or write a config with `lorafw init`.\n"
    )
