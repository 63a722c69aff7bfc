"""A GGUF file as a model of transformers, made from what the file alone says."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind

from lorafw.contracts.exporter import Reopened
from lorafw.errors import ExportError
from lorafw_gguf._module import with_room
from lorafw_gguf._names import OUTPUT, ROPE_FREQS, TOKEN_EMBD, Names
from lorafw_gguf._parameters import config_of
from lorafw_gguf._tokenizer import tokenizer_of
from lorafw_gguf.families import FAMILIES, Family

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

_PLAIN = {Kind.F32: torch.float32, Kind.F16: torch.float16, Kind.BF16: torch.bfloat16}
_DTYPES = {Kind.F32: torch.float32, Kind.BF16: torch.bfloat16}
"""What is computed in by how the embedding is written; fp32 for all others, as llama.cpp does."""
_LISTS = ("tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.scores")


def opened(path: Path) -> gguf.GGUFReader:
    """A reader of a file.

    Raises:
        ExportError: it is no GGUF file, or is cut off.
    """
    try:
        return gguf.GGUFReader(path)
    except (OSError, ValueError, IndexError) as error:
        fault = f"cannot be read by gguf {version('gguf')}: {error}."
        raise ExportError(fault, where=str(path), mend="Export it again.") from None


def keys_of(reader: gguf.GGUFReader) -> dict[str, Any]:
    """All keys and values of a file, long lists apart."""
    return {key: field.contents() for key, field in reader.fields.items() if key not in _LISTS}


def numbers_of(path: Path, tensor: gguf.ReaderTensor) -> Tensor:
    """A tensor's numbers in the shape PyTorch has for it; fp32 if they were in blocks.

    They are read from the file and not through the reader's map of it, whose pages would stay in
    memory beside the model.
    """
    shape = tuple(int(size) for size in reversed(tensor.shape))
    kind, size, at = tensor.data.dtype, int(tensor.n_bytes), int(tensor.data_offset)
    stored = np.fromfile(path, np.uint8, size, offset=at)
    if plain := _PLAIN.get(tensor.tensor_type):
        return torch.from_numpy(stored).view(plain).reshape(shape)
    blocks = stored.view(kind).reshape(tensor.data.shape)
    return torch.from_numpy(gguf.dequantize(blocks, tensor.tensor_type)).reshape(shape)


def reopened_model(path: Path) -> Reopened:
    """The model and the tokenizer of a file.

    Raises:
        ExportError: it is no GGUF file, is cut off, or is of another family.
    """
    reader = opened(path)
    keys = keys_of(reader)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    tied = OUTPUT not in tensors
    family = _family(str(keys.get("general.architecture")), path)
    model = _filled(path, family, keys, tensors)

    @torch.no_grad()
    def logits(ids: Sequence[int]) -> Tensor:
        found: Tensor = model(input_ids=torch.tensor([list(ids)])).logits[0]
        return found.float()

    tool = f"gguf {version('gguf')}"
    return Reopened(tool, logits, tokenizer_of(reader), tied)


def _family(architecture: str, path: Path) -> Family:
    for family in FAMILIES.values():
        if family.architecture == architecture:
            return family
    raise ExportError(f"holds a model of architecture '{architecture}'.", where=str(path))


def _filled(
    path: Path, family: Family, keys: Mapping[str, Any], tensors: Mapping[str, gguf.ReaderTensor]
) -> Any:
    from transformers import AutoConfig

    fields = config_of(family, keys, tied=OUTPUT not in tensors) | _biases(tensors)
    config = AutoConfig.for_model(fields.pop("model_type"), **fields)
    names = Names(family, config)
    factors = numbers_of(path, tensors[ROPE_FREQS]) if ROPE_FREQS in tensors else None
    dtype = _DTYPES.get(tensors[TOKEN_EMBD].tensor_type, torch.float32)
    model = with_room(config, dtype, factors)
    for name, parameter in model.named_parameters():
        numbers = numbers_of(path, tensors[names(name)])
        parameter.copy_(names.restored(name, numbers))
    return model


def _biases(tensors: Mapping[str, Any]) -> dict[str, bool]:
    """Where a Llama's config says that linears have biases."""
    return {
        "attention_bias": "blk.0.attn_output.bias" in tensors,
        "mlp_bias": "blk.0.ffn_up.bias" in tensors,
    }
