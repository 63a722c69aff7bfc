"""The memory that an export takes, over the size of its model."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.export_memory import EXPORTS, build, measure


@pytest.mark.slow
@pytest.mark.parametrize("name", ["merged", "adapter"])
def test_neither_process_holds_the_model_twice(tmp_path: Path, name: str) -> None:
    size = build(tmp_path / "base", tmp_path / "adapter", layers=16, width=768)
    assert size > 300e6
    told = measure(tmp_path / "adapter", EXPORTS[name], tmp_path / "out")
    for process in ("parent", "child"):
        over = told[process] - told["imports"]
        assert 0.9 * size < over < 1.3 * size + 50e6, f"{process}: {over / size:.2f} times"
