"""A model of random weights, its tokenizer, and a fresh adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from benchmarks.rows import EOS_ID, LONGEST, PAD_ID, SPECIAL, UNKNOWN_ID, word
from benchmarks.shapes import SHAPES, USUAL, Shape
from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.contracts import ModelRequest
from lorafw.types import Task
from lorafw_llama.model import Llama
from lorafw_peft.injector import PeftInjector

RANK, ALPHA, SEED = 16, 32, 0
CONTEXT = 8 * LONGEST


def build_model(folder: Path, *, layers: int, shape: str = USUAL) -> None:
    """Write bf16 weights drawn from `SEED`, and the tokenizer, in the transformers layout."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(SEED)
    config = LlamaConfig(**_fields(SHAPES[shape]), num_hidden_layers=layers)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    _tokenizer(SHAPES[shape].vocabulary).save_pretrained(folder)


def _fields(shape: Shape) -> dict[str, Any]:
    return {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": CONTEXT,
        "rope_theta": shape.rope_theta,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
        "bos_token_id": EOS_ID,
        "eos_token_id": EOS_ID,
        "pad_token_id": PAD_ID,
    }


def _tokenizer(vocabulary: int) -> Any:
    """One id per word between blanks; no special tokens are put around a text."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word(token_id): token_id for token_id in range(vocabulary)}
    backend = Tokenizer(models.WordLevel(words, unk_token=SPECIAL[UNKNOWN_ID]))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=SPECIAL[EOS_ID],
        pad_token=SPECIAL[PAD_ID],
        unk_token=SPECIAL[UNKNOWN_ID],
        model_max_length=CONTEXT,
    )


def build_adapter(model: Path, folder: Path) -> None:
    """Write the adapter that lorafw starts from with `SEED`, for the others to start from."""
    builder = Llama(path=str(model))
    request = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"), SEED)
    bundle = builder.build(request, builder.tokenizer())
    adapted = PeftInjector(r=RANK, alpha=ALPHA).inject(bundle)
    adapted.reset(SEED)
    folder.mkdir()
    write_adapter(folder, adapted.state(), base_path=str(model), recipe={})
