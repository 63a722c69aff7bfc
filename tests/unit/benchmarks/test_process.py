from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import pytest
from benchmarks.process import run_process


def test_usage_covers_the_process(tmp_path: Path) -> None:
    code = "import time; held = bytearray(64_000_000); time.sleep(0.2)"
    usage = run_process([sys.executable, "-c", code], tmp_path, os.environ)
    assert usage.seconds > 0.2
    assert usage.peak_bytes > 64_000_000


def test_a_failing_process_shows_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="no luck"):
        run_process([sys.executable, "-c", "raise SystemExit('no luck')"], tmp_path, os.environ)
