"""Exporter `gguf`: the whole model, adapter folded in, as one file for llama.cpp."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from lorafw.contracts._sizes import numel
from lorafw.contracts.exporter import Exporter, ExportRequest, Reopened
from lorafw.errors import ConfigError
from lorafw.types import Capability

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lorafw.contracts.model import ModelBuilder

FILE = "model.gguf"
_BITS = {"f32": 32.0, "q8_0": 8.5, "q5_1": 6.0, "q5_0": 5.5, "q4_1": 5.0, "q4_0": 4.5}
"""Per number, block scales included; 16 of the others."""


class Gguf(Exporter):
    """The merged model of the Llama family as `model.gguf`, for llama.cpp.

    One file holds weights, tokenizer and chat template. Weights go out one at a time, so besides
    the model itself memory holds one of them.
    """

    requires: ClassVar[frozenset[Capability]] = frozenset({Capability.MERGEABLE})

    dtype: Literal["auto", "f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"] = Field(
        "auto", description="How weights are written; auto keeps the model's own dtype."
    )

    def preflight(self) -> None:
        """Tell before training what would be refused after it: blocks round every model.

        Raises:
            ConfigError: numbers would be written in blocks, and what that changes is not accepted.
        """
        if self.dtype.startswith("q") and not self.accept_loss:
            fault = f"{self.dtype} rounds every weight."
            mend = "Accept that with accept_loss: true, or leave dtype out."
            raise ConfigError(fault, where="exporters.dtype", mend=mend)

    def foresee(self, request: ExportRequest) -> None:
        """Tell before training that llama.cpp runs no such model, or reads no such tokenizer.

        Raises:
            ExportError: it does not, or numbers would be rounded that may not.
        """
        from lorafw_gguf._merged_file import check_writable

        check_writable(request)
        super().foresee(request)

    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        """Write the file, and read it back with the `gguf` package's reader.

        Raises:
            ExportError: llama.cpp cannot run such a model or read such a tokenizer, a weight is not
                finite, an update was lost, or something differs when read.
        """
        from lorafw_gguf._merged_file import write_merged

        write_merged(request, folder / FILE, self.dtype)
        return [folder / FILE]

    def expected_bytes(self, request: ExportRequest) -> int:
        """The base's weights once, as they are written."""
        from lorafw.adapters.live.base_tensors import base_weights

        bits = _BITS.get(self.dtype, 16.0)
        return sum(
            int(numel(w) * (w.element_size() if self.dtype == "auto" else bits / 8))
            for w in base_weights(request.model)
        )

    def rounds(self, request: ExportRequest) -> bool:
        """Whether the wished numbers have fewer digits than the model's coarsest weights."""
        from lorafw.adapters.live.base_tensors import base_weights
        from lorafw_gguf._encoding import is_coarser

        held = {weight.dtype for weight in base_weights(request.model)}
        return self.dtype != "auto" and is_coarser(self.dtype, held)

    def reopen(self, folder: Path, builder: ModelBuilder) -> Reopened | None:
        """The model and the tokenizer that the file alone makes, numbers dequantised."""
        from lorafw_gguf._reading import reopened_model

        del builder
        return reopened_model(folder / FILE)
