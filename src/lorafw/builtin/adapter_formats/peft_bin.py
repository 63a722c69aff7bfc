"""Adapter format `peft-bin`: PEFT's folder with the tensors in a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lorafw.contracts.adapter_format import AdapterBase, AdapterFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.types import AdapterState


class PeftBin(AdapterFormat):
    """PEFT's folder as it used to be: `adapter_config.json` and a pickle, `adapter_model.bin`.

    The pickle is opened for plain tensors only, so it cannot run code.
    """

    general: ClassVar[bool] = True

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder with both files, and no safetensors file that would go before the pickle."""
        names = ("adapter_config.json", "adapter_model.bin")
        safe = path / "adapter_model.safetensors"
        return all((path / name).is_file() for name in names) and not safe.exists()

    def read(self, path: Path, base: AdapterBase) -> AdapterState:  # noqa: ARG002 - names are ours
        """The adapter in the folder."""
        from lorafw.adapters.conversion.pickled_adapter import read_pickled

        return read_pickled(path)

    def write(self, state: AdapterState, path: Path, base: AdapterBase) -> Sequence[Path]:
        """Make the folder, for tools that do not read safetensors."""
        from lorafw.adapters.conversion.pickled_adapter import pickle_tensors
        from lorafw.adapters.layout.peft_layout import TENSOR_FILE
        from lorafw.builtin.adapter_formats.peft import Peft

        files = Peft().write(state, path, base)
        return [*(file for file in files if file.name != TENSOR_FILE), pickle_tensors(path)]
