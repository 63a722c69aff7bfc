"""Exporter `adapter`: the adapter alone, in PEFT's layout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lorafw.contracts.exporter import Exporter, ExportRequest, Reopened
from lorafw.errors import ExportError
from lorafw.models.builder import TransformersBuilder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from lorafw.contracts.model import ModelBuilder
    from lorafw.types import AdapterState


class AdapterExporter(Exporter):
    """The adapter alone: a few megabytes that lorafw and plain PEFT load onto the base.

    Writes `adapter_config.json`, `adapter_model.safetensors` (fp32) and `lorafw.json`. The
    tokenizer stays with the base, unless tokens were added to it.
    """

    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        """Write the adapter, read it back and compare.

        Raises:
            ExportError: the adapter is not finite or does nothing, or differs when read back.
        """
        from lorafw.adapters.layout.peft_layout import adapter_digest, read_adapter, write_adapter
        from lorafw.adapters.live.targets import base_modules
        from lorafw.models.names import stores_transposed

        state = request.model.state()
        _check_trained(state, request.model.base_values())
        files = write_adapter(
            folder,
            state,
            base_path=_base_path(request.builder),
            recipe=request.recipe,
            modules=base_modules(request.model.bundle.module, state.spec.targets),
            fan_in_fan_out=any(map(stores_transposed, request.model.bundle.module.modules())),
            task=request.model.bundle.task,
        )
        if adapter_digest(read_adapter(folder)) != adapter_digest(state):
            raise ExportError("the adapter read back is not the one written.", where=str(folder))
        if not request.model.bundle.token_rows:
            return files
        request.model.bundle.tokenizer.save_pretrained(folder)
        return sorted(path for path in folder.rglob("*") if path.is_file())

    def reopen(self, folder: Path, builder: ModelBuilder) -> Reopened:
        """Open it with plain PEFT on the base; with lorafw where PEFT is not installed."""
        from lorafw.builtin._reopened_adapter import reopened_with_peft

        return reopened_with_peft(folder, builder)


def _check_trained(state: AdapterState, base: Mapping[str, Tensor]) -> None:
    from lorafw.adapters.layout.effect import can_act

    for name, tensor in state.tensors.items():
        if not tensor.isfinite().all():
            mend = "Train with a lower learning rate."
            raise ExportError(f"{name} holds NaN or infinity.", mend=mend)
    if not can_act(state, base):
        raise ExportError(
            "the adapter has no effect: every B is zero, so nothing was trained.",
            mend="Train at least one step with a learning rate above zero.",
        )


def _base_path(builder: ModelBuilder) -> str | None:
    """Where PEFT finds the base: a hub id as it is given, or else the folder; None if unknown."""
    folder = builder.folder() if isinstance(builder, TransformersBuilder) else None
    if folder is None:
        return None
    path = str(getattr(builder, "path", ""))
    on_hub = "/" in path and ":" not in path and not Path(path).expanduser().exists()
    return path if on_hub else str(folder)
