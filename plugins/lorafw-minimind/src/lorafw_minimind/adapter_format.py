"""Adapter format `minimind`: the LoRA files of MiniMind's own code, of every generation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from lorafw.contracts.adapter_format import AdapterBase, AdapterFormat
from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.types import AdapterState
    from lorafw_minimind.model import MiniMind

_MARK = b".lora.A.weight"


class MiniMindLora(AdapterFormat):
    """MiniMind's LoRA file, a .pth: tensors `….lora.A.weight` and `….lora.B.weight`.

    The base says which generation's names the file has, and in which order its rows of queries
    and keys are. MiniMind's code adds B·A as it is, for every square linear and at one rank:
    scalings are folded into B, smaller ranks and modules without an update filled up with zeros.
    """

    dtype: Literal["auto", "fp32", "fp16"] = Field(
        "auto", description="Dtype of a file that is written; auto is what upstream's code writes."
    )

    @property
    def rounding(self) -> float:
        """That of fp32, or of the fp16 that the generation of 2026 writes."""
        return 1e-6 if self.dtype == "fp32" else 2e-3

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A file of tensors one of which is the A of MiniMind's LoRA."""
        from lorafw.adapters.files.tensor_files import names_inside

        return _MARK in names_inside(path)

    def read(self, path: Path, base: AdapterBase) -> AdapterState:
        """The adapter in the file, for a base of the same generation."""
        from lorafw_minimind.lora_pth import read_lora_pth

        purpose = "know the file's generation and its order of rows"
        return read_lora_pth(path, _minimind(base, purpose).architecture())

    def write(self, state: AdapterState, path: Path, base: AdapterBase) -> Sequence[Path]:
        """Write the file in the names, order and dtype of the base's generation.

        Raises:
            AdapterError: it is more than LoRA of linears.
            ExportError: a module is adapted that upstream leaves alone, or a number is too large.
        """
        import torch

        from lorafw.adapters.conversion.plain_lora import require_plain_lora
        from lorafw.adapters.files.tensor_files import write_pickle
        from lorafw_minimind._bundle import lora_targets
        from lorafw_minimind.generations import DEFAULTS
        from lorafw_minimind.lora_pth import lora_tensors

        require_plain_lora(state, "a LoRA file of MiniMind")
        builder = _minimind(base, "know which names and order of rows to write")
        form, targets = builder.architecture(), lora_targets(builder.outline().module, "square")
        chosen = DEFAULTS[form.generation].lora_dtype if self.dtype == "auto" else self.dtype
        dtype = {"fp32": torch.float32, "fp16": torch.float16}[chosen]
        return [write_pickle(path, lora_tensors(state, form, targets, dtype))]


def _minimind(base: AdapterBase, purpose: str) -> MiniMind:
    from lorafw_minimind.model import MiniMind

    builder = base.needed(purpose)
    if not isinstance(builder, MiniMind):
        raise AdapterError("the base is no MiniMind model.", mend="Is --base the right one?")
    return builder
