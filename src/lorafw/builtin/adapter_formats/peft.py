"""Adapter format `peft`: the folder that lorafw itself writes, and PEFT since 2023."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lorafw.contracts.adapter_format import AdapterBase, AdapterFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.types import AdapterState


class Peft(AdapterFormat):
    """PEFT's folder: `adapter_config.json` and `adapter_model.safetensors`; lorafw's own format."""

    general: ClassVar[bool] = True

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder with both files."""
        names = ("adapter_config.json", "adapter_model.safetensors")
        return all((path / name).is_file() for name in names)

    def read(self, path: Path, base: AdapterBase) -> AdapterState:  # noqa: ARG002 - names are ours
        """The adapter in the folder."""
        from lorafw.adapters.layout.peft_layout import read_adapter

        return read_adapter(path)

    def write(self, state: AdapterState, path: Path, base: AdapterBase) -> Sequence[Path]:
        """Make the folder; with a known base, targets are named by suffixes as PEFT does."""
        from lorafw.adapters.layout.peft_layout import write_adapter

        path.mkdir()
        return write_adapter(path, state, **told_by(base))


def told_by(base: AdapterBase) -> dict[str, Any]:
    """What `write_adapter` wants to know of the base."""
    from lorafw.models.names import stores_transposed

    modules = {} if base.outline is None else dict(base.outline.module.named_modules())
    return {
        "base_path": base.path,
        "recipe": base.recipe,
        "modules": tuple(modules),
        "fan_in_fan_out": any(map(stores_transposed, modules.values())),
        "task": base.task,
    }
