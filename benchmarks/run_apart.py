"""A run of lorafw in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from benchmarks.environment import ROOT, environment

_RUN = "import json, sys, lorafw; lorafw.run(json.load(open(sys.argv[1])))"


def run_apart(folder: Path, name: str, config: Mapping[str, Any], threads: int) -> None:
    """Run a config.

    Args:
        folder: for the config's file and caches.
        name: of the run, for messages and the file.
        config: as `lorafw.run` takes it.
        threads: of the process.

    Raises:
        click.ClickException: it failed; what it printed.
    """
    given = folder / f"{name}.json"
    given.write_text(json.dumps(config), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(given)],
        cwd=ROOT,
        env=environment(folder, threads=threads),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"{name} failed:\n{done.stdout}{done.stderr}")
