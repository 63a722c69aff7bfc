"""Exporter `chatglm-adapter`: the adapter under the names of the original ChatGLM checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorafw.contracts.exporter import Exporter, ExportRequest, Reopened
from lorafw.errors import ExportError
from lorafw.models.builder import TransformersBuilder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lorafw.contracts.model import ModelBuilder
    from lorafw.types import AdapterState


class ChatGLMAdapterExporter(Exporter):
    """The adapter for the original ChatGLM code: PEFT's layout, targets such as query_key_value.

    PEFT loads it onto the original model, in whose code queries, keys and values are one linear.
    Where their three updates share no A, which is so after training, the fused one has the ranks'
    sum and computes the same. lorafw loads it too, with those ranks.
    """

    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        """Write the adapter, read it back and compare.

        Raises:
            ExportError: the base is no Glm, the adapter is not finite or does nothing, or it
                differs when read back.
            AdapterError: a module has no counterpart in the original.
        """
        from lorafw.adapters.live.targets import base_modules
        from lorafw_glm.adapter_format import write_original
        from lorafw_glm.key_map import Rows

        state = request.model.state()
        _check_trained(state)
        return write_original(
            folder,
            state,
            Rows.of(_glm_fields(request)),
            modules=base_modules(request.model.bundle.module, state.spec.targets),
            base_path=_base_path(request.builder),
            recipe=request.recipe,
        )

    def foresee(self, request: ExportRequest) -> None:
        """Raise ExportError before training if the base is no Glm."""
        _glm_fields(request)
        super().foresee(request)

    def reopen(self, folder: Path, builder: ModelBuilder) -> Reopened:
        """Open it with lorafw, on the base's conversion to Glm: the original runs its own code."""
        from lorafw.inference import reopening

        return reopening.reopened_adapter(folder, builder)


def _glm_fields(request: ExportRequest) -> Mapping[str, Any]:
    module: Any = request.model.bundle.module
    config = getattr(module, "config", None)
    family = getattr(config, "model_type", "unknown")
    if config is None or family != "glm":
        fault = f"the base is a model of type {family!r}; only 'glm' has names of ChatGLM."
        raise ExportError(fault, mend="Use exporter adapter.")
    fields: Mapping[str, Any] = config.to_dict()
    return fields


def _check_trained(state: AdapterState) -> None:
    for name, tensor in state.tensors.items():
        if not tensor.isfinite().all():
            mend = "Train with a lower learning rate."
            raise ExportError(f"{name} holds NaN or infinity.", mend=mend)
    ups = [tensor for name, tensor in state.tensors.items() if name.endswith(".lora_B.weight")]
    if not any(up.any() for up in ups):
        fault = "the adapter has no effect: every B is zero, so nothing was trained."
        mend = "Train at least one step with a learning rate above zero."
        raise ExportError(fault, mend=mend)


def _base_path(builder: ModelBuilder) -> str | None:
    """Where PEFT finds the base; None if unknown."""
    folder = builder.folder() if isinstance(builder, TransformersBuilder) else None
    return None if folder is None else str(folder)
