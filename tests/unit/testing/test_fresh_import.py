"""What a fresh interpreter imports along with a class."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorafw.builtin.single import Single
from lorafw.testing.fresh_import import heavy_imports, import_path


def _module(folder: Path, name: str, text: str) -> str:
    (folder / f"{name}.py").write_text(f"{text}\nclass Part: ...\n")
    return f"{name}:Part"


def test_a_light_class() -> None:
    assert import_path(Single) == "lorafw.builtin.single:Single"
    assert heavy_imports("lorafw.builtin.single:Single") == ()


def test_torch_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    path = _module(tmp_path, "needs_torch", "import torch")
    with pytest.raises(AssertionError, match="must not import torch; do it inside methods"):
        heavy_imports(path)


def test_libraries_that_come_with_torch_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    assert heavy_imports(_module(tmp_path, "heavy_part", "import transformers")) == (
        "transformers",
    )


def test_a_class_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    _module(tmp_path, "odd_part", "")
    with pytest.raises(AssertionError, match="cannot be imported: AttributeError"):
        heavy_imports("odd_part:Other")
