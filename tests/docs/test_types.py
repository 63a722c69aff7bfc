"""The programs on the pages are typed: a strict checker finds nothing to say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, ROOT, blocks

PAGES = ("embed", "several-adapters")


@pytest.mark.slow
def test_programs_are_typed(tmp_path: Path) -> None:
    for page in PAGES:
        for block in blocks(DOCS / "how-to" / f"{page}.md", "python"):
            name = f"{page.replace('-', '_')}_{block.number}.py"
            (tmp_path / name).write_text(block.text, encoding="utf-8")
    flags = ["--strict", "--follow-imports=silent", "--config-file", str(ROOT / "pyproject.toml")]
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *flags, *sorted(map(str, tmp_path.glob("*.py")))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    assert "no issues found" in checked.stdout
