"""The command as users call it: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[1] / "fixtures" / "plugins"

Lorafw = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def lorafw(tmp_path: Path) -> Lorafw:
    """Calls `lorafw` in an empty folder, with more folders on the path if asked."""

    def call(*arguments: str, path: Sequence[Path] = ()) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
        return subprocess.run(
            [sys.executable, "-m", "lorafw", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return call


@pytest.fixture
def toys() -> Path:
    """A folder that makes the toy parts installed."""
    return FIXTURES / "toys"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config of toy parts, in the folder that `lorafw` is called in."""
    path = tmp_path / "lorafw.yaml"
    path.write_text(
        "dataset: toy\n"
        "model: {use: toy, path: base}\n"
        "injector: {use: toy, r: 4}\n"
        "trainer:\n"
        "  use: toy\n"
        "  whole: true\n"
        "objective: toy\n"
        "exporters: [toy]\n"
    )
    return path
