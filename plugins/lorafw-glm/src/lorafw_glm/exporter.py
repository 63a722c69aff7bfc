"""Exporter `chatglm`: the whole model under the names of the original ChatGLM checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.builtin.merged_exporter import MergedExporter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lorafw.contracts.exporter import ExportRequest, Reopened
    from lorafw.contracts.model import ModelBuilder


class ChatGLMExporter(MergedExporter):
    """The merged model as the original ChatGLM code loads it, for bases that were published so.

    Weights have their original names, queries, keys and values in one linear; the base's config,
    tokenizer and code are beside them.
    """

    def foresee(self, request: ExportRequest) -> None:
        """Tell before training that the base is no original checkpoint.

        Raises:
            ExportError: it is none, or has tokens added to it; or numbers would be rounded that
                may not.
        """
        from lorafw_glm._original_folder import check_original

        check_original(request)
        super().foresee(request)

    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        """Write weights, config, tokenizer and code; every tensor is read back and compared.

        Raises:
            ExportError: the base is no original checkpoint, has tokens added to it, a weight is not
                finite, an update was lost, or a file differs when read.
        """
        from lorafw_glm._original_folder import write_original_folder

        return write_original_folder(request, folder, self.dtype, self.max_shard_size)

    def reopen(self, folder: Path, builder: ModelBuilder) -> Reopened:
        """Open it with lorafw's reader of original checkpoints, tokenizer included."""
        from lorafw.inference import reopening
        from lorafw_glm.model import Glm

        del builder
        return reopening.reopened_model(Glm.from_mapping({"path": str(folder)}, where="model"))
