"""Frozen weights in 8 or 4 bits, through bitsandbytes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lorafw.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import nn

Quantization: TypeAlias = Literal["nf4", "int8"]
"""`nf4`: QLoRA's 4 bits (arXiv:2305.14314); `int8`: LLM.int8() (arXiv:2208.07339)."""


def require() -> None:
    """Check that what quantises is installed; imports nothing.

    Raises:
        ConfigError: it is not.
    """
    for name in ("bitsandbytes", "accelerate"):
        if find_spec(name) is None:
            fault = f"needs {name}, which is not installed."
            mend = 'Run: pip install "lorafw[quantization]"'
            raise ConfigError(fault, where="model.quantize", mend=mend)


def bitsandbytes_config(
    kind: Quantization, *, double_quant: bool, compute_dtype: torch.dtype | None
) -> Any:
    """What transformers is told so that it quantises a model while loading it.

    Only the linears of the layers are: the head, the embeddings and routers stay as they are.

    Args:
        kind: how the weights are held.
        double_quant: quantise the scales of nf4's blocks too, 0.4 bits less per weight.
        compute_dtype: dtype of nf4's products; None for fp32. int8 has its own.

    Raises:
        ConfigError: bitsandbytes is not installed.
    """
    import logging

    from transformers import BitsAndBytesConfig

    require()
    # It tells of kernels that are missing, and in every layer of casts that int8 is made of.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=double_quant,
        bnb_4bit_compute_dtype=compute_dtype,
    )


def keep_differentiable(model: nn.Module) -> None:
    """Keep 4-bit layers from repacking their weights for inference on the CPU.

    bitsandbytes does so in the first forward pass in eval mode, where the CPU has AVX512-BF16; a
    product of repacked weights passes no gradient on to its input, and says so in a warning only.
    """
    for part in model.modules():
        if hasattr(part, "support_avx512bf16_for_cpu"):
            vars(part)["support_avx512bf16_for_cpu"] = False
