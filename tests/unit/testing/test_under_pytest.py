"""The kit as a third party uses it: a class, a fixture, and plain pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import lorafw.testing

SOUND = """
import pytest
from lorafw.builtin.single import Single
from lorafw.testing import ScenarioContract


class TestMine(ScenarioContract):
    @pytest.fixture(params=[1, 2])
    def scenario(self, request):
        return Single()
"""
BROKEN = """
import pytest
from lorafw.contracts import Scenario
from lorafw.testing import ScenarioContract


class Hasty(Scenario):
    def run(self, session):
        session.export()
        session.fit("train")


class TestHasty(ScenarioContract):
    @pytest.fixture
    def scenario(self):
        return Hasty()
"""


def _pytest(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_a_parametrised_fixture_runs_every_promise_for_every_parameter(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(SOUND)
    told = _pytest(tmp_path)
    assert "26 passed" in told, told


def test_a_broken_promise_reads_as_a_sentence_and_shows_its_values(tmp_path: Path) -> None:
    (tmp_path / "test_hasty.py").write_text(BROKEN)
    told = _pytest(tmp_path)
    assert "TestHasty::test_it_fits_before_it_exports" in told
    assert "it exports an untrained model: ['export', 'fit']" in told
    assert "assert 'export' not in ['export']" in told


def test_the_plugin_names_modules_that_exist_and_imports_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import importlib
    import importlib.util

    from lorafw.testing import pytest_plugin

    named: list[str] = []
    monkeypatch.setattr(pytest, "register_assert_rewrite", lambda *names: named.extend(names))
    importlib.reload(pytest_plugin)
    assert len(named) == len(lorafw.testing.__all__)
    assert all(importlib.util.find_spec(name) for name in named)
    code = "import sys, lorafw.testing.pytest_plugin; sys.exit('lorafw.contracts' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
