"""Tensors as the bytes of a GGUF file, a few megabytes at a time."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import gguf
import torch
from gguf import GGMLQuantizationType as Kind
from gguf import LlamaFileType as FileKind

from lorafw.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import numpy as np
    from torch import Tensor

Dtype: TypeAlias = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]

KINDS: dict[str, tuple[Kind, FileKind]] = {
    "f32": (Kind.F32, FileKind.ALL_F32),
    "f16": (Kind.F16, FileKind.MOSTLY_F16),
    "bf16": (Kind.BF16, FileKind.MOSTLY_BF16),
    "q8_0": (Kind.Q8_0, FileKind.MOSTLY_Q8_0),
    "q5_1": (Kind.Q5_1, FileKind.MOSTLY_Q5_1),
    "q5_0": (Kind.Q5_0, FileKind.MOSTLY_Q5_0),
    "q4_1": (Kind.Q4_1, FileKind.MOSTLY_Q4_1),
    "q4_0": (Kind.Q4_0, FileKind.MOSTLY_Q4_0),
}
"""What a tensor's numbers are written as, and what the whole file is called then."""

_EXACT = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}
_BLOCK = 2**21  # numbers encoded at a time: what quantising needs beside them stays small


def exact_dtype(dtype: torch.dtype) -> str:
    """The name of the encoding that keeps every number of a dtype."""
    return _EXACT.get(dtype, "f32")


def is_quantised(dtype: str) -> bool:
    """Whether numbers are rounded in blocks that share a scale."""
    return dtype.startswith("q")


def is_coarser(dtype: str, held: Collection[torch.dtype]) -> bool:
    """Whether an encoding has fewer digits than the coarsest floating-point dtype of these."""
    if is_quantised(dtype):
        return True
    digits = {name: torch.finfo(exact).eps for exact, name in _EXACT.items()}
    return digits[dtype] > max((torch.finfo(d).eps for d in held if d.is_floating_point), default=1)


def kind_for(dtype: str, shape: Sequence[int], *, is_outer: bool) -> Kind:
    """How one tensor is written in a file of this dtype, as llama.cpp expects it.

    Vectors stay fp32, for llama.cpp's operators on them take nothing else. Rows that are no whole
    number of blocks become f16.

    Args:
        dtype: asked for.
        shape: of the tensor.
        is_outer: it is the embedding or the head, which is rounded to 8 bits at most.
    """
    if len(shape) < 2:
        return Kind.F32
    kind = KINDS["q8_0" if is_outer and is_quantised(dtype) else dtype][0]
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    return kind if shape[-1] % block == 0 else Kind.F16


def encoded_bytes(shape: Sequence[int], kind: Kind) -> int:
    """How many bytes a tensor takes."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return prod(shape) // block * size


def encoded(name: str, tensor: Tensor, kind: Kind) -> Iterator[np.ndarray[Any, Any]]:
    """A tensor's bytes, in order, some rows at a time.

    Raises:
        ExportError: a number is not finite, or too large for the encoding.
    """
    rows = tensor.detach().reshape(-1, tensor.shape[-1]).cpu()
    step = max(1, _BLOCK // rows.shape[1])
    for start in range(0, len(rows), step):
        yield _encoded_rows(name, rows[start : start + step], kind)


def _encoded_rows(name: str, rows: Tensor, kind: Kind) -> np.ndarray[Any, Any]:
    if kind is Kind.F16:
        rows = rows.half()
    if not rows.isfinite().all():
        raise ExportError(
            f"{name} holds NaN or infinity as {kind.name.lower()}.",
            mend="If the adapter itself is sound, set exporters.dtype: f32.",
        )
    if kind is Kind.BF16 and rows.dtype is torch.bfloat16:
        return rows.contiguous().view(torch.int16).numpy()
    if kind in (Kind.F16, Kind.F32):
        return (rows if kind is Kind.F16 else rows.float()).contiguous().numpy()
    return gguf.quantize(rows.float().contiguous().numpy(), kind)
