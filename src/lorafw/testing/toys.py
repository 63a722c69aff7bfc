"""Tiny but real things to try parts on: a tokenizer, a Llama of random weights, ragged rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from lorafw.contracts.encoder import Encoder
from lorafw.contracts.model import ModelBundle
from lorafw.types import IGNORE_INDEX, Encoded, Example, Task, Tokenizer

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "saw",
    "seven",
    "small",
    "birds",
    "fly",
    "over",
    "an",
    "old",
    "red",
    "barn",
]
SPECIALS = ("<unk>", "<s>", "</s>", "<pad>")
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
TURN_MARKS = ("<|im_start|>", "<|im_end|>")
GLM_MARKS = ("[gMASK]", "sop", "<eop>")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
    "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def toy_tokenizer(*, chat: bool = False, adds_bos: bool = False) -> Tokenizer:
    """A word-level tokenizer of a few words, with BOS, EOS and padding tokens of its own.

    Args:
        chat: with a chat template, and a token for each role.
        adds_bos: puts BOS in front of every text.
    """
    from tokenizers import Tokenizer as Backend
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    words = (*SPECIALS, *dict.fromkeys(WORDS), *ROLES, *TURN_MARKS, *GLM_MARKS)
    vocabulary = {word: index for index, word in enumerate(words)}
    backend = Backend(WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    if adds_bos:
        bos = ("<s>", vocabulary["<s>"])
        backend.post_processor = TemplateProcessing("<s> $A", special_tokens=[bos])
    tokenizer: Tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=[*GLM_MARKS, *((*ROLES, *TURN_MARKS) if chat else ())],
        chat_template=CHAT_TEMPLATE if chat else None,
    )
    return tokenizer


def toy_llama(seed: int = 0, **config: Any) -> Any:
    """A two-layer Llama with grouped-query attention and random fp32 weights.

    Args:
        seed: of the weights.
        config: `LlamaConfig` fields that replace the toy's.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    values = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 3,
        "initializer_range": 0.2,  # wide enough that attention and gradients are not all alike
        **config,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(LlamaConfig(**values))


def toy_folder(folder: Path, seed: int = 0, **config: Any) -> Path:
    """The toy Llama and its tokenizer as a Hugging Face folder."""
    toy_llama(seed, **config).save_pretrained(folder)
    toy_tokenizer().save_pretrained(folder)
    return folder


def toy_bundle(dtype: str = "fp32", seed: int = 0, **config: Any) -> ModelBundle:
    """The toy Llama as injectors, objectives and trainers are given it.

    Args:
        dtype: of the frozen weights, `fp32`, `bf16` or `fp16`.
        seed: of the weights.
        config: `LlamaConfig` fields that replace the toy's.
    """
    from lorafw.models.transformers_bundle import TransformersBundle

    model = toy_llama(seed, **config).to(_torch_dtype(dtype))
    return TransformersBundle(model, toy_tokenizer(), base=f"toy-{seed}")


def toy_gpt2_bundle(dtype: str = "fp32", seed: int = 0) -> ModelBundle:
    """A two-layer GPT-2, whose linears store their weights as [in, out].

    Args:
        dtype: of the frozen weights, `fp32`, `bf16` or `fp16`.
        seed: of the weights.
    """
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from lorafw.models.transformers_bundle import TransformersBundle

    config = GPT2Config(
        vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=128, initializer_range=0.2
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GPT2LMHeadModel(config)
    model = model.to(_torch_dtype(dtype))
    return TransformersBundle(model, toy_tokenizer(), base=f"toy-gpt2-{seed}")


def _torch_dtype(name: str) -> Any:
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def toy_rows(
    count: int, seed: int = 0, *, longest: int = 40, vocabulary: int = 64
) -> list[Encoded]:
    """Ragged rows of random tokens; the first part of each is not trained."""
    import random

    chance = random.Random(seed)
    return [_toy_row(chance, longest, vocabulary) for _ in range(count)]


def _toy_row(chance: Any, longest: int, vocabulary: int) -> Encoded:
    length = chance.randint(2, longest)
    tokens = [chance.randrange(4, vocabulary) for _ in range(length)]
    prompt = chance.randrange(1, length)
    labels = [IGNORE_INDEX] * prompt + tokens[prompt:]
    return Encoded(tokens, labels)


class ToyEncoder(Encoder):
    """Only collates: for rows that are token ids already."""

    accepts: ClassVar[tuple[type[Example], ...]] = ()
    task: ClassVar[Task] = Task.CAUSAL_LM

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        """Has no text to encode."""
        raise NotImplementedError

    def prompt(self, example: Example, tokenizer: Tokenizer) -> Encoded:
        """Has no text to encode."""
        raise NotImplementedError
