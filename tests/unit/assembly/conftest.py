"""Plugins as folders of metadata on sys.path, and the toy parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lorafw.assembly.registry import Registry
from lorafw.builtin import mix

FIXTURES = Path(__file__).parents[2] / "fixtures" / "plugins"

WritePlugin = Callable[..., Path]


@pytest.fixture
def write_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WritePlugin:
    """Writes a plugin's metadata and modules into a folder on sys.path."""

    def write(
        distribution: str,
        points: Mapping[str, str],
        modules: Mapping[str, str] | None = None,
        *,
        requires: str = "lorafw>=0.1",
        folder: str = "site",
    ) -> Path:
        site = tmp_path / folder
        info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        groups = [f"[lorafw.{group}]\n{text}\n" for group, text in points.items()]
        (info / "entry_points.txt").write_text("\n".join(groups))
        lines = ["Metadata-Version: 2.1", f"Name: {distribution}", "Version: 1.0"]
        lines += ["Summary: Written by a test", f"Requires-Dist: {requires}"]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        for name, text in (modules or {}).items():
            (site / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(site)
        return site

    return write


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry that knows the toy parts besides what is installed."""
    monkeypatch.syspath_prepend(FIXTURES / "toys")
    monkeypatch.setattr(mix, "_registry", Registry)  # the one it keeps may not know them
    return Registry()
