"""Exporter `gguf-lora`: the adapter alone, as llama.cpp puts it on a base at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from lorafw.contracts.exporter import Exporter, ExportRequest, Reopened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lorafw.contracts.model import ModelBuilder

FILE = "adapter.gguf"


class GgufLora(Exporter):
    """The adapter as `adapter.gguf`, which llama.cpp puts on the base: `llama-cli --lora`.

    The base has to be a GGUF of the same model. One file has one alpha: where modules differ in
    their scaling, what is left of it is folded into B.
    """

    dtype: Literal["f32", "f16"] = Field("f32", description="How the factors are written.")

    def foresee(self, request: ExportRequest) -> None:
        """Tell before training that llama.cpp runs no such model.

        Raises:
            ExportError: it does not, or numbers would be rounded that may not.
        """
        from lorafw_gguf.families import family_of

        family_of(request.model.bundle)
        super().foresee(request)

    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        """Write the file, and read it back with the `gguf` package's reader.

        Raises:
            ExportError: the adapter is more than LoRA on linears of a Llama, Mistral or Qwen, is
                not finite, does nothing, or differs when read back.
        """
        from lorafw_gguf._lora_file import write_lora

        write_lora(request, folder / FILE, self.dtype)
        return [folder / FILE]

    def rounds(self, request: ExportRequest) -> bool:
        """Whether the factors, which are trained in fp32, are written in fewer digits."""
        del request
        return self.dtype != "f32"

    def reopen(self, folder: Path, builder: ModelBuilder) -> Reopened | None:
        """The base with the file's factors beside its linears, as llama.cpp computes it."""
        from lorafw_gguf._lora_reading import reopened_lora

        return reopened_lora(folder / FILE, builder)
