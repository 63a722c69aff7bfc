"""Exporter `minimind-pth`: the files that MiniMind's own code loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from lorafw.contracts._sizes import numel
from lorafw.contracts.exporter import Exporter, ExportRequest, Reopened
from lorafw.errors import ExportError
from lorafw.types import AdapterSpec, Capability
from lorafw_minimind.generations import DEFAULTS, native_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import Tensor

    from lorafw.contracts.model import ModelBuilder
    from lorafw_minimind._bundle import MiniMindBundle

_NOTE = "minimind.json"


class MiniMindPth(Exporter):
    """The adapter as a LoRA .pth of MiniMind's own code, and the merged model if wanted.

    Writes `lora_{width}[_moe].pth` under the names of the base's generation, its scaling folded in,
    and `minimind.json`, which says what rounding to the file's dtype did.
    """

    requires: ClassVar[frozenset[Capability]] = frozenset({Capability.MERGEABLE})

    dtype: Literal["auto", "fp32", "fp16"] = Field(
        "auto", description="Dtype of the files; auto is what upstream's code writes."
    )
    accept_loss: bool = Field(
        True, description="Take what upstream's dtype rounds; how much is told."
    )
    merged: bool = Field(
        False, description="Also write the whole model with the adapter folded in, as a .pth."
    )

    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        """Write, read back and compare.

        Raises:
            ExportError: the model is no MiniMind, a number is not finite or does not fit, or a
                file differs when read back.
        """
        from lorafw.adapters.files.safe_files import write_json

        bundle = _minimind(request)
        name = f"{bundle.form.hidden_size}{'_moe' if bundle.form.num_experts else ''}.pth"
        note = self._write_lora(request, bundle, folder / f"lora_{name}")
        if self.merged:
            self._write_merged(request, bundle, folder / f"merged_{name}")
        write_json(folder / _NOTE, note)
        return sorted(folder.iterdir())

    def expected_bytes(self, request: ExportRequest) -> int:
        """The factors, and the base's weights once if it is merged, in fp32 at most."""
        parts = [request.model.trainable(), *([request.model.frozen()] if self.merged else [])]
        wide = 2 if self.dtype == "fp16" else 4
        return sum(wide * numel(tensor) for part in parts for tensor in part.values())

    def foresee(self, request: ExportRequest) -> None:
        """See that there will be an adapter.

        Raises:
            ExportError: whole modules are trained, and nothing is adapted; or as any exporter's.
        """
        super().foresee(request)
        _require_adapter(request.model.spec)

    def rounds(self, request: ExportRequest) -> bool:
        """Whether the files that are opened again have fp16, where the model has not."""
        import torch

        defaults = DEFAULTS[_minimind(request).form.generation]
        dtype = self._dtype(defaults.full_dtype if self.merged else defaults.lora_dtype)
        return dtype is torch.float16

    def reopen(self, folder: Path, builder: ModelBuilder) -> Reopened:
        """The merged file if it was written, or else the LoRA file on the base.

        Opened with lorafw's network, which computes what upstream's code does.
        """
        from lorafw_minimind._reopening import reopened

        return reopened(folder, builder)

    def _write_lora(
        self, request: ExportRequest, bundle: MiniMindBundle, file: Path
    ) -> dict[str, Any]:
        import torch

        from lorafw_minimind.lora_pth import lora_tensors

        state = request.model.state()
        _require_adapter(state.spec)
        if state.tensors.keys() - {n for n in state.tensors if ".lora_" in n}:
            mend = "Use exporter adapter or merged."
            raise ExportError("parts of the base were trained, not only LoRA.", mend=mend)
        dtype = self._dtype(DEFAULTS[bundle.form.generation].lora_dtype)
        parts = state, bundle.form, bundle.square_linears
        exact, tensors = (lora_tensors(*parts, of) for of in (torch.float32, dtype))
        if not any(tensor.any() for name, tensor in tensors.items() if ".lora.B." in name):
            raise ExportError("the adapter has no effect: every B is zero.")
        _write(file, tensors)
        return {
            "base": bundle.base,
            "dtype": str(dtype).removeprefix("torch."),
            "generation": str(bundle.form.generation),
            "largest_rounding": _rounding(exact, tensors),
            "lora": file.name,
            "rank": next(len(t) for name, t in tensors.items() if ".lora.A." in name),
        }

    def _write_merged(self, request: ExportRequest, bundle: MiniMindBundle, file: Path) -> None:
        from lorafw_minimind.lora_pth import narrowed

        dtype = self._dtype(DEFAULTS[bundle.form.generation].full_dtype)
        tensors: dict[str, Tensor] = {}
        for name, tensor in request.model.merged_state():
            native = request.builder.native_state(name, tensor)
            tensors |= {n: narrowed(n, t.cpu(), dtype) for n, t in native.items()}
        names = ("lm_head.weight", "model.embed_tokens.weight")
        head, embedding = (native_name(name, bundle.form.generation) for name in names)
        tensors.setdefault(head, tensors[embedding])
        _write(file, tensors)

    def _dtype(self, upstream: Literal["fp32", "fp16"]) -> torch.dtype:
        import torch

        chosen = upstream if self.dtype == "auto" else self.dtype
        return {"fp32": torch.float32, "fp16": torch.float16}[chosen]


def _minimind(request: ExportRequest) -> MiniMindBundle:
    from lorafw_minimind._bundle import MiniMindBundle

    bundle = request.model.bundle
    if not isinstance(bundle, MiniMindBundle):
        raise ExportError("the base is no MiniMind model.", mend="Use exporter adapter or merged.")
    return bundle


def _require_adapter(spec: AdapterSpec) -> None:
    if not spec.targets:
        raise ExportError("there is no adapter to export.", mend="Use exporter merged.")


def _rounding(exact: Mapping[str, Tensor], rounded: Mapping[str, Tensor]) -> float:
    """The largest change of a number, measured by the largest number of its tensor."""
    changes = [
        float((tensor - rounded[name].float()).abs().max() / tensor.abs().max())
        for name, tensor in exact.items()
        if tensor.any()
    ]
    return max(changes)


def _write(file: Path, tensors: Mapping[str, Tensor]) -> None:
    import torch

    from lorafw_minimind._tensors import plain_tensors

    torch.save(dict(tensors), file)
    found = plain_tensors(file, ExportError)
    same = found.keys() == tensors.keys()
    if not same or any(not torch.equal(found[name], t) for name, t in tensors.items()):
        mend = "The disk or its file system is at fault; write somewhere else."
        raise ExportError("what was read back is not what was written.", where=file.name, mend=mend)
