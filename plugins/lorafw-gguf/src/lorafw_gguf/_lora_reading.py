"""A LoRA file of llama.cpp's, put on its base as llama.cpp does."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from lorafw.contracts.exporter import Reopened
from lorafw.contracts.model import ModelRequest
from lorafw.errors import ExportError
from lorafw.types import Task
from lorafw_gguf._lora_file import ALPHA
from lorafw_gguf._names import Names
from lorafw_gguf._reading import keys_of, numbers_of, opened
from lorafw_gguf.families import family_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from lorafw.contracts.model import ModelBuilder


def reopened_lora(path: Path, builder: ModelBuilder) -> Reopened:
    """The base model with a file's update.

    Raises:
        ExportError: it is no LoRA file, or is of another base.
    """
    reader = opened(path)
    keys = keys_of(reader)
    tensors = {tensor.name: numbers_of(path, tensor).float() for tensor in reader.tensors}
    tokenizer = builder.tokenizer()
    bundle = builder.build(ModelRequest(Task.CAUSAL_LM, torch.device("cpu")), tokenizer)
    family, module = family_of(bundle), bundle.module
    if keys.get("adapter.type") != "lora" or keys["general.architecture"] != family.architecture:
        raise ExportError("is no LoRA file of this base.", where=str(path))
    config: Any = module.config
    _put(module, Names(family, config), tensors, float(keys[ALPHA]))

    @torch.no_grad()
    def logits(ids: Sequence[int]) -> Tensor:
        tokens = torch.tensor([list(ids)])
        inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
        return bundle.logits(bundle.hidden(inputs).rows[0]).float()

    return Reopened(f"gguf {version('gguf')}", logits)


def _put(
    module: torch.nn.Module, names: Names, tensors: Mapping[str, Tensor], alpha: float
) -> None:
    """Let every linear that has a pair add its update to what it computes."""
    left = set(tensors)
    for name, part in module.named_modules():
        base = f"{name}.weight"
        if not isinstance(part, torch.nn.Linear) or f"{_called(names, base)}.lora_a" not in left:
            continue
        down, up = (f"{names(base)}.lora_{factor}" for factor in "ab")
        update = names.restored(base, tensors[up]) * (alpha / len(tensors[down]))
        part.register_forward_hook(partial(_added, tensors[down], update))
        left -= {down, up}
    if left:
        raise ExportError(f"the base has no place for {min(left)}.")


def _called(names: Names, base: str) -> str:
    try:
        return names(base)
    except ExportError:
        return ""


def _added(down: Tensor, up: Tensor, _: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    update = inputs[0].float() @ down.T @ up.T
    return output + update.to(output.dtype)
