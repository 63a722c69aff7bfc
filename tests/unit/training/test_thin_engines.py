"""Trainer plugins hold no loop, no schedule and no logging, and read in one sitting."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PLUGINS = ("ddp", "accelerate", "deepspeed")
MODULES = sorted(
    path for name in PLUGINS for path in ROOT.glob(f"plugins/lorafw-{name}/src/**/*.py")
)
NOT_THEIRS = ("logging", "lorafw.builtin", "lorafw.training.loop", "lorafw.training.schedule")


def imported(path: Path) -> set[str]:
    """Every module that a file imports from, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_all_three_are_looked_at() -> None:
    assert {path.parent.name for path in MODULES} == {f"lorafw_{name}" for name in PLUGINS}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_a_module_reads_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 200


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_a_module_leaves_loop_schedule_and_logging_to_core(path: Path) -> None:
    taken = [n for n in imported(path) if n in NOT_THEIRS or n.startswith("lorafw.builtin.")]
    assert not taken
