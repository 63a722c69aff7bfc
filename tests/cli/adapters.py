"""Adapters in folders, and `lorafw adapter` called on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from click.testing import CliRunner, Result
from tests.unit.adapters.states import random_adapter

from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.types import AdapterState


def call(*arguments: object) -> Result:
    """`lorafw adapter` with these arguments."""
    return CliRunner().invoke(main, ["adapter", *map(str, arguments)])


def written(folder: Path, state: AdapterState | None = None, **recipe: Any) -> Path:
    """A folder with an adapter in it."""
    folder.mkdir()
    write_adapter(folder, state or random_adapter(), base_path=None, recipe=recipe)
    return folder


def cut_off(folder: Path) -> Path:
    """The folder with its tensors cut off."""
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    return folder


def assert_one_line(result: Result, code: int, *told: str) -> None:
    """An error is one line that says this, with this exit code; nothing else is printed."""
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    line = result.stderr.splitlines()[-1]
    assert line.startswith("Error: ")
    assert all(words in line for words in told), line
