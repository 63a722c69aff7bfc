"""A folder in the layout in which ChatGLM2, ChatGLM3 and GLM-4-9B were published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lorafw.adapters.files.safe_files import write_json
from lorafw.adapters.layout.peft_layout import adapter_digest, write_recipe
from lorafw.builtin._shards import ShardWriter
from lorafw.errors import ExportError
from lorafw.models import folder as folders
from lorafw_glm._tensors import stored_tensors
from lorafw_glm.checkpoint import original_weight_files
from lorafw_glm.key_map import PROJECTIONS, is_recomputed, original_module
from lorafw_glm.model import Glm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from lorafw.contracts.exporter import ExportRequest

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_BESIDE = ("*.py", "tokenizer*", "special_tokens_map.json", "generation_config.json", "*LICENSE*")
"""What belongs to the weights and does not depend on them."""


def write_original_folder(
    request: ExportRequest, folder: Path, dtype: str, max_bytes: int
) -> Sequence[Path]:
    """Write a merged model in the original layout, into an existing folder.

    Raises:
        ExportError: as the exporter's `export` does.
    """
    builder = check_original(request)
    writer, wished = ShardWriter(folder, max_bytes), _DTYPES.get(dtype)
    for name, tensor in _recomputed(builder):
        writer.add(name, tensor)
    for name, tensor in _fused(request):
        writer.add(name, _finite(name, tensor if wished is None else tensor.to(wished)))
    writer.finish()
    config = folders.read_json(builder.folder() / "config.json")
    key = "dtype" if "dtype" in config else "torch_dtype"
    named = str(writer.main_dtype).removeprefix("torch.")
    write_json(folder / "config.json", {**config, key: named})
    _copy_beside(builder, folder)
    merged = [adapter_digest(request.model.state())]
    write_recipe(folder, {**request.recipe, "merged": True, "merged_adapters": merged})
    return sorted(path for path in folder.rglob("*") if path.is_file())


def check_original(request: ExportRequest) -> Glm:
    """The builder of an original checkpoint to which no tokens were added.

    Raises:
        ExportError: the base is another.
    """
    builder = request.builder
    if not isinstance(builder, Glm) or not builder.is_original():
        fault = "the base was not published under the names of the original ChatGLM."
        raise ExportError(fault, mend="Use exporter merged.")
    if request.model.bundle.token_rows:
        fault = "the original tokenizer has no place for added tokens."
        raise ExportError(fault, mend="Use exporter merged.")
    return builder


def _recomputed(builder: Glm) -> Iterator[tuple[str, Tensor]]:
    """Buffers that the base's files hold though they follow from its config."""
    for name, tensor in stored_tensors(original_weight_files(builder.folder())):
        if is_recomputed(name):
            yield name, tensor.clone()


def _fused(request: ExportRequest) -> Iterator[tuple[str, Tensor]]:
    """The merged tensors under the original names; memory holds one, or one layer's three.

    Raises:
        ExportError: one has no place there, or an update has none.
    """
    missing = {f"{name}.weight" for name in request.model.spec.targets}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in request.model.merged_state():
        missing.discard(name)
        module, _, kind = name.rpartition(".")
        whole = f"{_original_name(module)}.{kind}"
        projection = module.rpartition(".")[2]
        if projection not in PROJECTIONS:
            yield whole, tensor
            continue
        found = parts.setdefault(whole, {})
        found[projection] = tensor
        if len(found) == len(PROJECTIONS):
            yield whole, torch.cat([found[each] for each in PROJECTIONS])
            del parts[whole]
    if lost := [*missing, *parts]:
        raise ExportError(f"{min(lost)} has no place in the original's weights.")


def _original_name(module: str) -> str:
    if (found := original_module(module)) is None:
        raise ExportError(f"the original has no {module}.", mend="Use exporter merged.")
    return found


def _finite(name: str, tensor: Tensor) -> Tensor:
    if not tensor.isfinite().all():
        raise ExportError(
            f"{name} holds NaN or infinity as {tensor.dtype}.".replace("torch.", ""),
            mend="If the adapter itself is sound, set exporters.dtype: fp32.",
        )
    return tensor


def _copy_beside(builder: Glm, folder: Path) -> None:
    sources = dict.fromkeys((builder.folder(), builder.tokenizer_folder()))
    found = {
        path.name: path for source in sources for kind in _BESIDE for path in source.glob(kind)
    }
    for name, path in found.items():
        if path.is_file():
            (folder / name).write_bytes(path.read_bytes())
