"""Adapter formats with one fault each."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch

from lorafw.builtin.adapter_formats.trace import Trace
from lorafw.contracts import AdapterBase
from lorafw.types import AdapterState


class Forgetful(Trace):
    """Does not know its own files again."""

    breaks: ClassVar[tuple[str, ...]] = ("it recognises what it wrote",)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return False


class Greedy(Trace):
    """Takes whatever is there for its own."""

    breaks: ClassVar[tuple[str, ...]] = ("it recognises nothing else",)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return path.exists()


class Unscaled(Trace):
    """Forgets the scaling."""

    breaks: ClassVar[tuple[str, ...]] = ("what it wrote is read back",)

    def write(self, state: AdapterState, path: Path, base: AdapterBase) -> Sequence[Path]:
        plain = replace(state.spec, alpha=1.0, alpha_pattern={})
        return super().write(replace(state, spec=plain), path, base)


class Untold(Trace):
    """Does not name its file."""

    breaks: ClassVar[tuple[str, ...]] = ("the files it names are those it wrote",)

    def write(self, state: AdapterState, path: Path, base: AdapterBase) -> Sequence[Path]:
        path.mkdir()
        (path / "notes.txt").write_text("untold")
        return super().write(state, path / "lora.bin", base)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return super().recognises(path / "lora.bin")

    def read(self, path: Path, base: AdapterBase) -> AdapterState:
        return super().read(path / "lora.bin", base)


class Stamped(Trace):
    """Writes something else every time."""

    breaks: ClassVar[tuple[str, ...]] = ("a second writing is bit identical",)

    def write(self, state: AdapterState, path: Path, base: AdapterBase) -> Sequence[Path]:
        files = super().write(state, path, base)
        tensors = torch.load(path, weights_only=True)
        torch.save({**tensors, f"{uuid.uuid4()}": torch.zeros(1)}, path)
        return files


class Blind(Trace):
    """Makes something up where a file is damaged or missing."""

    breaks: ClassVar[tuple[str, ...]] = ("a damaged file is refused", "a missing file is refused")

    def read(self, path: Path, base: AdapterBase) -> AdapterState:
        try:
            return super().read(path, base)
        except Exception:  # noqa: BLE001 - the fault
            return None  # type: ignore[return-value]


class Dropping(Trace):
    """Leaves out what it cannot hold."""

    breaks: ClassVar[tuple[str, ...]] = ("what it cannot hold is refused rather than dropped",)

    def write(self, state: AdapterState, path: Path, base: AdapterBase) -> Sequence[Path]:
        return super().write(replace(state, spec=replace(state.spec, trained=())), path, base)
