"""Small checkpoints and tokenizers in the original formats, made here."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from safetensors.torch import save_file
from tiktoken._educational import bpe_train
from transformers import GlmConfig, GlmForCausalLM

from lorafw_glm._tiktoken import PATTERN
from lorafw_glm.key_map import PROJECTIONS, original_module

TEXT = [
    'Question: how many apples are left if 12 of 35 are eaten? {"answer": 23}',
    "def twice(x):\n\treturn 2 * x  # a comment",
    "今天天气很好，我们去公园散步吧。学习使人进步。",
    "The philosophy of sophisticated people: aa aaa aaaa.",
] * 30

CONFIG: dict[str, Any] = {
    "model_type": "chatglm",
    "add_bias_linear": False,
    "add_qkv_bias": True,
    "apply_residual_connection_post_layernorm": False,
    "ffn_hidden_size": 48,
    "hidden_size": 32,
    "kv_channels": 8,
    "layernorm_epsilon": 1e-5,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "num_attention_heads": 4,
    "num_layers": 2,
    "original_rope": True,
    "padded_vocab_size": 512,
    "post_layer_norm": True,
    "rmsnorm": True,
    "seq_length": 128,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def small_glm(**changes: Any) -> Any:
    """A Glm of random weights with the sizes of `CONFIG`."""
    values = {
        "vocab_size": 512,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "attention_bias": True,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 128,
        "pad_token_id": 0,
        "eos_token_id": 2,
        "initializer_range": 0.2,
        **changes,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GlmForCausalLM(GlmConfig(**values))
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # which would else start as zeros
                torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def original_tensors(model: Any) -> dict[str, torch.Tensor]:
    """A Glm's weights under the original names, queries, keys and values in one."""
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    tensors = {"transformer.rotary_pos_emb.inv_freq": torch.zeros(2)}
    for name, tensor in state.items():
        module, _, kind = name.rpartition(".")
        if module.endswith(PROJECTIONS[1:]):
            continue
        siblings = [module.replace(PROJECTIONS[0], other) for other in PROJECTIONS]
        fused = module.endswith(PROJECTIONS[0])
        whole = torch.cat([state[f"{m}.{kind}"] for m in siblings]) if fused else tensor
        tensors[f"{original_module(module)}.{kind}"] = whole
    return tensors


@pytest.fixture(scope="session")
def sentencepiece_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `tokenizer.model` of ChatGLM2's kind, of about 450 pieces."""
    folder = tmp_path_factory.mktemp("sentencepiece")
    (folder / "tokenizer.model").write_bytes(trained_sentencepiece())
    return folder


def trained_sentencepiece(**options: Any) -> bytes:
    """A small BPE model with the settings of ChatGLM's."""
    settings: dict[str, Any] = {
        "model_type": "bpe",
        "vocab_size": 450,
        "byte_fallback": True,
        "split_digits": True,
        "character_coverage": 0.98,
        "remove_extra_whitespaces": False,
        "normalization_rule_name": "identity",
        "num_threads": 1,
        "minloglevel": 2,
        **options,
    }
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT), model_writer=model, **settings
    )
    return model.getvalue()


@pytest.fixture(scope="session")
def tiktoken_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `tokenizer.model` of GLM-4's kind: 400 ranks."""
    folder = tmp_path_factory.mktemp("tiktoken")
    ranks = bpe_train("\n".join(TEXT[:4]), 400, PATTERN, visualise=None)
    lines = [base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items()]
    (folder / "tokenizer.model").write_bytes(b"".join(lines))
    return folder


@pytest.fixture
def train_sentencepiece() -> Callable[..., bytes]:
    """Train another small sentencepiece model, with options of its own."""
    return trained_sentencepiece


@pytest.fixture
def make_glm() -> Callable[..., Any]:
    """Make a small Glm, with config fields of its own."""
    return small_glm


@pytest.fixture
def make_original(tmp_path: Path, sentencepiece_folder: Path) -> Callable[..., Path]:
    """Write a small original checkpoint with a tokenizer; `tensors` and config keys as wanted."""

    def make(
        tensors: dict[str, torch.Tensor] | None = None, name: str = "original", **config: Any
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        stored = original_tensors(small_glm()) if tensors is None else tensors
        save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(CONFIG | config), encoding="utf-8")
        vocabulary = (sentencepiece_folder / "tokenizer.model").read_bytes()
        (folder / "tokenizer.model").write_bytes(vocabulary)
        return folder

    return make


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    """The tensors of a small original checkpoint."""
    return original_tensors(small_glm())
