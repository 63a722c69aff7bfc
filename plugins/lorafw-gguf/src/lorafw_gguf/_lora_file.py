"""A LoRA adapter as a GGUF file, in the format of llama.cpp's convert_lora_to_gguf.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gguf

from lorafw.adapters.conversion.plain_lora import require_plain_lora
from lorafw.errors import AdapterError, ExportError
from lorafw_gguf._encoding import KINDS
from lorafw_gguf._file import GgufFile, Slot
from lorafw_gguf._names import EMBEDDING, HEAD, Names
from lorafw_gguf.families import family_of

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from lorafw.contracts.exporter import ExportRequest
    from lorafw.types import AdapterState

ALPHA = gguf.Keys.Adapter.LORA_ALPHA


def write_lora(request: ExportRequest, path: Path, dtype: str) -> None:
    """Write the adapter, and read it back.

    llama.cpp scales B·A by alpha / rank, with one alpha for the file and the rank of each pair.

    Raises:
        ExportError: as the exporter's `export` does.
    """
    family, module = family_of(request.model.bundle), request.model.bundle.module
    state = request.model.state()
    _check(state)
    config: Any = getattr(module, "config", None)
    tensors = _tensors(state, Names(family, config))
    header = gguf.GGUFWriter(None, family.architecture)
    header.add_type(gguf.GGUFType.ADAPTER)
    header.add_string(gguf.Keys.Adapter.TYPE, "lora")
    header.add_float32(ALPHA, float(state.spec.alpha))
    header.add_file_type(KINDS[dtype][1])
    slots = {name: Slot(tuple(t.shape), KINDS[dtype][0]) for name, t in tensors.items()}
    file = GgufFile(path, header, slots)
    try:
        for name, tensor in tensors.items():
            file.add(name, tensor)
        file.finish()
    finally:
        file.abandon()


def _check(state: AdapterState) -> None:
    mend = "Use exporter gguf, which folds it into the model."
    try:
        require_plain_lora(state, "a LoRA file of llama.cpp's")
    except AdapterError as error:
        raise ExportError(error.what, mend=mend) from None
    outer = {EMBEDDING.removesuffix(".weight"), HEAD.removesuffix(".weight")}
    if found := outer & set(state.spec.targets):
        raise ExportError(f"llama.cpp's LoRA files have no place for {min(found)}.", mend=mend)
    if not any(t.any() for name, t in state.tensors.items() if name.endswith(".lora_B.weight")):
        raise ExportError(
            "the adapter has no effect: every B is zero, so nothing was trained.",
            mend="Train at least one step with a learning rate above zero.",
        )


def _tensors(state: AdapterState, names: Names) -> dict[str, Tensor]:
    """A [r, in] and B [out, r] of every module, under llama.cpp's names."""
    spec = state.spec
    found: dict[str, Tensor] = {}
    for module in spec.targets:
        down, up = (state.tensors[name] for name in spec.pair_of(module))
        left = spec.scaling_of(module) / (spec.alpha / spec.rank_of(module))
        base = f"{module}.weight"
        found[f"{names(base)}.lora_a"] = down
        found[f"{names(base)}.lora_b"] = names.ordered(base, up * left)
    return found
