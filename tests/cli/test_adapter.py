"""`lorafw adapter` as a group: quick, and without torch."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from lorafw.cli.adapter import VERBS
from lorafw.cli.main import main

Lorafw = Callable[..., "subprocess.CompletedProcess[str]"]

SECONDS = 0.5


def test_help_names_every_verb_and_needs_nothing_heavy(lorafw: Lorafw, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("torch", "transformers", "peft", "matplotlib"):
        (trap / f"{name}.py").write_text('raise ImportError("imported")\n')
    shown = lorafw("adapter", "--help", path=[trap]).stdout
    assert all(f"  {verb} " in shown for verb in VERBS)
    found = lorafw("adapter", "combine", "--help", path=[trap])
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str) -> None:
    assert CliRunner().invoke(main, ["adapter", verb, "--help"]).exit_code == 0


def test_nobody_waits_for_help(lorafw: Lorafw) -> None:
    spent = []
    for _ in range(3):
        before = os.times()
        lorafw("adapter", "--help")
        after = os.times()
        user = after.children_user - before.children_user
        spent.append(user + after.children_system - before.children_system)
    assert min(spent) < SECONDS
