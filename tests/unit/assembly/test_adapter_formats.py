"""Which format the files of an adapter are of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorafw.assembly.adapter_formats import exported_adapter, foreign_format, format_of
from lorafw.assembly.registry import Registry
from lorafw.builtin.adapter_formats.peft import Peft
from lorafw.errors import AdapterError, PluginError


class Own(Peft):
    """A format of its own."""

    general = False

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return (path / "own.txt").exists()


class Installed(Registry):
    """A registry of given formats; None is one that does not import."""

    def __init__(self, **formats: Any) -> None:
        self._formats = formats

    def names(self, kind: str) -> tuple[str, ...]:
        return tuple(self._formats)

    def load(self, kind: str, name: str) -> Any:
        if self._formats[name] is None:
            raise PluginError(f"adapter format '{name}' failed to import.")
        return self._formats[name]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).touch()
    return tmp_path


def test_a_general_format_is_taken_where_no_other_claims_the_files(folder: Path) -> None:
    registry = Installed(peft=Peft, own=Own, broken=None)
    assert format_of(registry, folder) == "peft"
    assert foreign_format(registry, folder) is None
    (folder / "own.txt").touch()
    assert format_of(registry, folder) == foreign_format(registry, folder) == "own"


def test_several_claims_are_one_error(folder: Path) -> None:
    (folder / "own.txt").touch()
    with pytest.raises(AdapterError, match=r"any of several formats: one, two\. .* --from FORMAT"):
        format_of(Installed(peft=Peft, one=Own, two=Own), folder)


def test_no_claim_is_an_error_that_lists_formats(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"no format that is known here: peft, own\."):
        format_of(Installed(peft=Peft, own=Own), tmp_path)
    with pytest.raises(PluginError, match="'broken' failed to import"):
        format_of(Installed(peft=Peft, broken=None), tmp_path)
    with pytest.raises(AdapterError, match="no such file or folder"):
        format_of(Installed(peft=Peft), tmp_path / "nowhere")


def test_a_run_stands_for_the_adapter_it_exported(tmp_path: Path) -> None:
    assert exported_adapter(tmp_path) == tmp_path
    (tmp_path / "adapter").mkdir()
    assert exported_adapter(tmp_path) == tmp_path
    (tmp_path / "run.yaml").touch()
    assert exported_adapter(tmp_path) == tmp_path / "adapter"
