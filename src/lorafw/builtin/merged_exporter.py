"""Exporter `merged`: the whole model with the update folded in, as transformers stores it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ByteSize, Field

from lorafw.contracts._sizes import numel
from lorafw.contracts.exporter import Exporter, ExportRequest, Reopened
from lorafw.errors import ExportError
from lorafw.models.builder import TransformersBuilder
from lorafw.types import Capability

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import torch
    from torch import Tensor

    from lorafw.contracts.model import ModelBuilder, ModelBundle


_MERGED = "merged_adapters"
"""Where a recipe says which adapters are in the weights, by their digests."""


class MergedExporter(Exporter):
    """The whole model with the adapter folded in, which loads without lorafw and without PEFT.

    Weights go out one at a time, so besides the model itself memory holds one of them.
    """

    requires: ClassVar[frozenset[Capability]] = frozenset({Capability.MERGEABLE})

    max_shard_size: ByteSize = Field(
        ByteSize(2_000_000_000),
        gt=0,
        description="Most bytes in one weight file, such as 2GB or 500MiB.",
    )
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="Dtype of the weights; auto keeps each as the model has it."
    )

    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        """Write weights, config, tokenizer and recipe; every tensor is read back and compared.

        Raises:
            ExportError: the base has this adapter in it already, a weight is not finite, an update
                was lost, or a file differs when read.
        """
        from lorafw.adapters.files.safe_files import write_json
        from lorafw.adapters.layout.peft_layout import write_recipe
        from lorafw.builtin._shards import ShardWriter

        merged = _merged_before(request)
        writer = ShardWriter(folder, self.max_shard_size)
        for name, tensor in _native_tensors(request):
            writer.add(name, _finite(name, self._cast(tensor)))
        writer.finish()
        write_json(folder / "config.json", _config(request, writer.main_dtype))
        _copy_beside(request.builder, folder)
        request.model.bundle.tokenizer.save_pretrained(folder)
        write_recipe(folder, {**request.recipe, "merged": bool(merged), _MERGED: merged})
        return sorted(path for path in folder.rglob("*") if path.is_file())

    def expected_bytes(self, request: ExportRequest) -> int:
        """The base's weights once, in the dtype they are written in."""
        from lorafw.adapters.live.base_tensors import base_weights

        wide = {"fp32": 4, "bf16": 2, "fp16": 2}.get(self.dtype)
        return sum(numel(w) * (wide or w.element_size()) for w in base_weights(request.model))

    def rounds(self, request: ExportRequest) -> bool:
        """Whether the wished dtype has fewer digits than the model's coarsest weights."""
        import torch

        from lorafw.adapters.live.base_tensors import base_weights

        if self.dtype == "auto":
            return False
        held = {weight.dtype for weight in base_weights(request.model)}
        finest = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[self.dtype]
        eps = [torch.finfo(dtype).eps for dtype in held if dtype.is_floating_point]
        return torch.finfo(finest).eps > max(eps, default=1.0)

    def reopen(self, folder: Path, builder: ModelBuilder) -> Reopened:
        """Open it with plain transformers; families that it does not know, with lorafw."""
        from lorafw.builtin._reopened_model import reopened_model

        return reopened_model(folder, builder)

    def _cast(self, tensor: Tensor) -> Tensor:
        import torch

        dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
        keep = self.dtype == "auto" or not tensor.is_floating_point()
        return tensor if keep else tensor.to(dtypes[self.dtype])


def _merged_before(request: ExportRequest) -> list[str]:
    """Digests of the adapters in the base, and of this one, which must not be among them."""
    from lorafw.adapters.layout.digest import adapter_digest
    from lorafw.adapters.layout.peft_layout import read_recipe

    builder, state = request.builder, request.model.state()
    folder = builder.folder() if isinstance(builder, TransformersBuilder) else None
    before = list(read_recipe(folder).get(_MERGED, ())) if folder is not None else []
    mine = [adapter_digest(state)] if state.tensors else []  # a whole model has no adapter
    if set(mine) & set(before):
        raise ExportError("this adapter is merged already.", where=str(folder))
    return [*before, *mine]


def _native_tensors(request: ExportRequest) -> Iterator[tuple[str, Tensor]]:
    """The merged tensors under the family's published names; no adapted weight may be missing."""
    spec = request.model.spec
    missing = {n if n in spec.parameters else f"{n}.weight" for n in spec.targets}
    for name, tensor in request.model.merged_state():
        missing.discard(name)
        yield from request.builder.native_state(name, tensor).items()
    if missing:
        raise ExportError(f"the update of {min(missing)} has no place in the base's weights.")


def _finite(name: str, tensor: Tensor) -> Tensor:
    if tensor.is_floating_point() and not tensor.isfinite().all():
        raise ExportError(
            f"{name} holds NaN or infinity as {tensor.dtype}.".replace("torch.", ""),
            mend="If the adapter itself is sound, set exporters.dtype: fp32.",
        )
    return tensor


def _config(request: ExportRequest, dtype: torch.dtype) -> dict[str, object]:
    """The family's config, with the dtype that the weights have now under either of its names."""
    bundle = request.model.bundle
    config = {**request.builder.native_config(), **_classes(bundle), **_untied(bundle)}
    key = "torch_dtype" if "torch_dtype" in config else "dtype"
    return {**config, key: str(dtype).removeprefix("torch.")}


def _untied(bundle: ModelBundle) -> dict[str, object]:
    """That head and embedding are two weights, if the adapter is for one of them."""
    module: Any = bundle.module
    may_tie = getattr(module, "_tied_weights_keys", None)
    tied = getattr(module, "all_tied_weights_keys", None)
    return {"tie_word_embeddings": False} if may_tie and not tied else {}


def _classes(bundle: ModelBundle) -> dict[str, object]:
    """What a classifier's config says besides: transformers' class of it and the names it knows."""
    if not bundle.labels:
        return {}
    return {
        "architectures": [type(bundle.module).__name__],
        "id2label": {str(index): label for index, label in enumerate(bundle.labels)},
        "label2id": {label: index for index, label in enumerate(bundle.labels)},
        "problem_type": "single_label_classification",
    }


def _copy_beside(builder: ModelBuilder, folder: Path) -> None:
    """Copy what belongs to the weights and does not depend on them, where the base has it."""
    if not isinstance(builder, TransformersBuilder) or (base := builder.folder()) is None:
        return
    code = base.glob("*.py") if builder.runs_code() else ()
    for path in (base / "generation_config.json", *code):
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
