"""The command as a whole: verbs, exit codes, no torch, no waiting."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import lorafw as package
from lorafw.cli.main import VERBS, main
from lorafw.cli.verbs import LazyGroup
from lorafw.errors import ConfigError, TrainingError

Lorafw = Callable[..., "subprocess.CompletedProcess[str]"]

NO_TORCH = 'raise ImportError("torch was imported")\n'
HEAVY = ("torch", "transformers", "peft", "accelerate", "deepspeed")
SECONDS = 0.5


def a_plugin(folder: Path, points: str, module: str) -> Path:
    info = folder / "lorafw_verbs-2.0.dist-info"
    info.mkdir(parents=True)
    about = "Metadata-Version: 2.1\nName: lorafw-verbs\nVersion: 2.0\nSummary: Verbs of a test\n"
    (info / "METADATA").write_text(about)
    (info / "entry_points.txt").write_text(f"[lorafw.commands]\n{points}\n")
    (folder / "verbs_of_a_test.py").write_text(module)
    return folder


def test_version(lorafw: Lorafw) -> None:
    assert lorafw("--version").stdout == f"lorafw {package.__version__}\n"


def test_help_names_every_verb(lorafw: Lorafw) -> None:
    found = lorafw("--help")
    assert found.returncode == 0
    for name, (_, line) in VERBS.items():
        assert f"  {name} " in found.stdout
        assert line.split()[0] in found.stdout


@pytest.mark.parametrize("name", [name for name in VERBS if name != "demo"])
def test_every_verb_is_a_command_that_says_what_it_does(name: str) -> None:
    module, _, attribute = VERBS[name][0].partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["rum"], "'rum'. Did you mean 'run'?"),
        (["data", "prevew"], "'prevew'. Did you mean 'preview'?"),
        (["data", "xyz"], "'xyz'. See: python -m lorafw data --help"),
    ],
)
def test_an_unknown_verb(lorafw: Lorafw, arguments: list[str], hint: str) -> None:
    found = lorafw(*arguments)
    assert found.returncode == 2
    assert found.stderr.endswith(f"Error: no command is called {hint}\n")


def test_a_plugins_verb(lorafw: Lorafw, tmp_path: Path) -> None:
    module = "import click\n@click.command()\ndef hum():\n    click.echo('hmm')\n    return 'x'\n"
    site = a_plugin(tmp_path / "site", "hum = verbs_of_a_test:hum", module)
    assert re.search(r"\bhum +Verbs of a test\n", lorafw("--help", path=[site]).stdout)
    assert "hum" not in lorafw("data", "--help", path=[site]).stdout
    found = lorafw("hum", path=[site])
    assert (found.returncode, found.stdout, found.stderr) == (0, "hmm\n", "")


def test_a_broken_verb_is_told_only_when_it_is_called(lorafw: Lorafw, tmp_path: Path) -> None:
    site = a_plugin(tmp_path / "site", "hum = verbs_of_a_test:hum", "import x_x")
    assert lorafw("--help", path=[site]).returncode == 0
    found = lorafw("hum", path=[site])
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == (
        "Error: command 'hum' from lorafw-verbs 2.0 failed to import: "
        "ModuleNotFoundError: No module named 'x_x'\n"
    )


def test_lorafws_own_verbs_cannot_be_replaced(lorafw: Lorafw, tmp_path: Path) -> None:
    site = a_plugin(tmp_path / "site", "plugins = verbs_of_a_test:hum", "raise SystemExit(9)")
    found = lorafw("plugins", "list", path=[site])
    assert found.returncode == 0
    assert "single" in found.stdout
    assert "Verbs of a test" not in lorafw("--help", path=[site]).stdout


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ConfigError("is odd.", where="f.yaml:3: a.b"), 2, "Error: f.yaml:3: a.b: is odd.\n"),
        (TrainingError("two\nlines."), 1, "Error: two lines.\n"),
        (KeyboardInterrupt(), 130, ""),
        (OSError(28, "No space left on device"), 1, "Error: No space left on device.\n"),
    ],
)
def test_errors_for_the_user(error: BaseException, code: int, told: str) -> None:
    group = LazyGroup("lorafw", verbs={"fail": (f"{__name__}:fail", "Fails.")})
    fail = click.Command("fail", callback=lambda: throw(error))
    group.add_command(fail)
    group.get_command = lambda *_: fail  # type: ignore[method-assign]
    found = CliRunner().invoke(group, ["fail"])
    assert (found.exit_code, found.stderr) == (code, told)


def test_a_bug_keeps_its_traceback() -> None:
    group = LazyGroup("lorafw", verbs={"fail": ("", "Fails.")})
    fail = click.Command("fail", callback=lambda: throw(ZeroDivisionError()))
    group.get_command = lambda *_: fail  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(group, ["fail"], catch_exceptions=False)


def throw(error: BaseException) -> None:
    raise error


@pytest.fixture
def no_torch(tmp_path: Path) -> Path:
    """A folder in which everything heavy raises when it is imported."""
    folder = tmp_path / "no-torch"
    folder.mkdir()
    for name in HEAVY:
        (folder / f"{name}.py").write_text(NO_TORCH)
    return folder


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--help"], 0, "Commands:"),
        (["run", "--help"], 0, "--dataset NAME"),
        (["plugins", "list"], 0, "deepspeed"),
        (["plugins", "show", "injector", "peft"], 0, "OPTION"),
        (["plugins", "show", "trainer", "deepspeed"], 0, "zero_stage"),
        (["run", "--dry-run"], 0, "use: toy"),
        (["run", "-o", "trainer.whle=1"], 2, "-o trainer.whle: unknown option."),
        (["config", "show"], 0, "use: toy"),
        (["config", "schema"], 0, "trainer.toy"),
        (["config", "validate", "lorafw.yaml"], 0, "lorafw.yaml: ok"),
        (["presets"], 0, "metamath-qa"),
        (["presets", "show", "trace"], 0, "use: trace"),
        (["init", "--preset", "trace", "job"], 0, "Set what is ??? in it."),
        (["data", "--help"], 0, "validate"),
        (["data", "preview", "--help"], 0, "--row"),
        (["data", "preview", "-o", "dataset.rows=chat"], 2, "encoder 'toy' accepts PromptExample"),
    ],
)
def test_no_torch_is_needed(
    lorafw: Lorafw,
    no_torch: Path,
    toys: Path,
    config: Path,
    arguments: list[str],
    code: int,
    told: str,
) -> None:
    assert config.exists()
    found = lorafw(*arguments, path=[no_torch, toys])
    assert found.returncode == code, found.stderr
    assert told in found.stdout + found.stderr
    assert "torch was imported" not in found.stdout + found.stderr


def test_the_trap_for_torch_works(no_torch: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(no_torch)}
    command = [sys.executable, "-c", "import torch"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "torch was imported" in found.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["plugins", "list"],
        ["plugins", "show", "scenario", "single"],
        ["run"],
        ["presets"],
        ["data", "--help"],
    ],
    ids=" ".join,
)
def test_nobody_waits(lorafw: Lorafw, arguments: list[str]) -> None:
    spent = []
    for _ in range(5):
        before = os.times()
        lorafw(*arguments)
        after = os.times()
        user = after.children_user - before.children_user
        spent.append(user + after.children_system - before.children_system)
    # Processor time, and the least of five: what the command costs, whatever else goes on here.
    assert min(spent) < SECONDS
