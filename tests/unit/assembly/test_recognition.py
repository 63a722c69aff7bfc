"""Which model is found for a path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lorafw.assembly.recognition import recognise
from lorafw.assembly.registry import Registry
from lorafw.builtin.auto import Auto
from lorafw.errors import ModelError, PluginError


class Own(Auto):
    """A family that says what is its own."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return (path / "own.txt").exists()


class Installed(Registry):
    """A registry of given classes; None is one that does not import."""

    def __init__(self, **models: Any) -> None:
        self._models = models

    def names(self, kind: str) -> tuple[str, ...]:
        return tuple(self._models)

    def entries(self, kind: str) -> tuple[Any, ...]:
        return ()

    def load(self, kind: str, name: str) -> Any:
        if self._models[name] is None:
            raise PluginError(f"model '{name}' failed to import.")
        return self._models[name]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return tmp_path


def test_a_family_of_its_own_comes_before_auto(folder: Path) -> None:
    (folder / "own.txt").touch()
    found = recognise(Installed(auto=Auto, own=Own), folder, "llama")
    assert found == ("own", Own)


def test_auto_takes_what_no_family_claims(folder: Path) -> None:
    assert recognise(Installed(auto=Auto, own=Own), folder, "llama") == ("auto", Auto)


def test_a_plugin_that_does_not_import_stops_no_other(folder: Path) -> None:
    assert recognise(Installed(broken=None, auto=Auto), folder, "llama") == ("auto", Auto)


def test_it_is_told_where_nothing_else_reads_the_path(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="'broken' failed to import"):
        recognise(Installed(broken=None, auto=Auto), tmp_path, ".bin")


def test_a_family_whose_plugin_is_not_installed_is_named_with_it(tmp_path: Path) -> None:
    for family, plugin in (("chatglm", "lorafw-glm"), (".pth", "lorafw-minimind")):
        with pytest.raises(PluginError, match=f"pip install {plugin}"):
            recognise(Installed(own=Own), tmp_path, family)


def test_auto_is_no_substitute_for_a_plugin_that_is_needed(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "chatglm"}))
    with pytest.raises(PluginError, match="pip install lorafw-glm"):
        recognise(Installed(auto=Auto), folder, "chatglm")


def test_what_nothing_reads_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no installed model reads this"):
        recognise(Installed(auto=Auto), tmp_path, ".bin")
