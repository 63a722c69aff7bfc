"""What a comparison has to know of its reference: the base's dtype, the process's size."""

from __future__ import annotations

import resource
import sys
from typing import Any

import torch

from lorafw.contracts.injector import AdaptedModel


def base_dtype(model: AdaptedModel) -> str:
    """What the base's numbers are: fp32, bf16, fp16, or quantised."""
    module: Any = model.bundle.module
    if getattr(module, "is_quantized", False):
        return "quantised"
    trained = {id(parameter) for parameter in model.trainable().values()}
    numbers = [p for p in module.parameters() if p.is_floating_point()]
    frozen = [p for p in numbers if id(p) not in trained]
    coarsest = max(frozen or numbers, key=lambda p: torch.finfo(p.dtype).eps).dtype
    names = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
    return names.get(coarsest, str(coarsest).removeprefix("torch."))


def machine() -> dict[str, int]:
    """How much memory this process has had at most, in bytes, and how many GPUs there are."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "peak_memory_bytes": peak if sys.platform == "darwin" else peak * 1024,
        "gpus": torch.cuda.device_count(),
    }
