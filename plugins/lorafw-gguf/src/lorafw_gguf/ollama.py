"""Exporter `ollama`: the merged model as GGUF, and a Modelfile that asks it as in training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from lorafw_gguf.merged import FILE, Gguf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lorafw.contracts.exporter import ExportRequest


class Ollama(Gguf):
    """The merged model and a `Modelfile`, for `ollama create NAME -f Modelfile`.

    The Modelfile's template is made of the texts that the encoder puts around what is said. It is
    rendered as Ollama does, for conversations with and without a system's words, of one turn and
    of several, and has to give the token ids of training.
    """

    system: str | None = Field(
        None, min_length=1, description="What the model is told before every conversation."
    )
    num_ctx: int | None = Field(
        None, ge=1, description="Most tokens Ollama looks at; the model's own limit if not set."
    )
    temperature: float = Field(
        0.0, ge=0.0, description="How freely Ollama chooses tokens; 0 always takes the likeliest."
    )

    def foresee(self, request: ExportRequest) -> None:
        """Tell before training that the template cannot be written in Go.

        Raises:
            ExportError: it cannot, or exporter `gguf` would refuse the model.
        """
        from lorafw_gguf._modelfile import check_template

        super().foresee(request)
        check_template(request, self)

    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        """Write both files, read the model back, and compare the template with training.

        Raises:
            ExportError: as exporter `gguf` does; or the template cannot be written in Go, or gives
                other token ids.
        """
        from lorafw_gguf._modelfile import write_ollama

        write_ollama(request, folder, self, FILE)
        return [folder / "Modelfile", folder / FILE]
