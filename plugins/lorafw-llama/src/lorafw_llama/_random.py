"""Llama models with random weights: a function of the config and a seed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lorafw.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorafw.types import Tokenizer

_OLDER_NAMES = frozenset({"rope_theta", "rope_scaling", "torch_dtype", "model_type"})


def llama_config(fields: Mapping[str, Any], tokenizer: Tokenizer, *, only_known: bool) -> Any:
    """A config from its fields; sizes and ids of the vocabulary default to the tokenizer's.

    Args:
        fields: fields of `LlamaConfig`.
        tokenizer: gives `vocab_size`, `bos_token_id`, `eos_token_id` where the fields do not.
        only_known: refuse names that `LlamaConfig` does not have.

    Raises:
        ConfigError: a field is unknown, of a wrong type, or does not fit the others.
    """
    if only_known:
        _refuse_unknown(fields)
    words: Any = tokenizer
    vocabulary = {
        "vocab_size": len(words),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    try:
        return LlamaConfig(**{**vocabulary, **fields})
    except Exception as error:  # the hub's own classes, derived from Exception alone
        fault = " ".join(str(error).split())
        raise ConfigError(fault, where="model.config") from error


def random_llama(config: Any, seed: int, dtype: torch.dtype | None) -> Any:
    """A model whose weights are drawn on the CPU in fp32, then rounded to `dtype`, if one is given.

    The state of torch's global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    return model if dtype is None else model.to(dtype)


def shaped_llama(config: Any, dtype: torch.dtype | None) -> Any:
    """The model that `random_llama` would give, on the meta device."""
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    return model if dtype is None else model.to(dtype)


def content_identity(model: Any) -> str:
    """The identity of weights that are in no file: `sha256:` over the config and every tensor."""
    fields = {k: v for k, v in model.config.to_dict().items() if k != "transformers_version"}
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy())
    return f"sha256:{digest.hexdigest()}"


def _refuse_unknown(fields: Mapping[str, Any]) -> None:
    known = {field.name for field in dataclasses.fields(LlamaConfig)} | _OLDER_NAMES
    for name in fields:
        if name not in known:
            where = f"model.config.{name}"
            mend = did_you_mean(name, known) or "See transformers' LlamaConfig."
            raise ConfigError("LlamaConfig has no such field.", where=where, mend=mend)
