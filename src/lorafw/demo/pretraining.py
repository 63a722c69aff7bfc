"""Pre-training of the base model: a small Llama on an endless stream of freshly worded texts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lorafw.demo.corpus import conversations, stories
from lorafw.demo.packing import collate, pack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedTokenizerFast

__all__ = ["Recipe", "build_model", "train"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers of a pre-training run."""

    steps: int
    seed: int
    window: int = 256
    batch: int = 16
    peak_learning_rate: float = 4e-3
    warmup: float = 0.05
    weight_decay: float = 0.05
    gradient_norm: float = 1.0


def build_model(tokenizer: PreTrainedTokenizerFast, window: int) -> LlamaForCausalLM:
    """Build an untrained Llama of about a million parameters."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=352,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=window,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            dtype="float32",
        )
    )


def train(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, recipe: Recipe
) -> Iterator[float]:
    """Train in place, and yield the loss of every step."""
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=recipe.peak_learning_rate,
        betas=(0.9, 0.95),
        weight_decay=recipe.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe))
    model.train()
    for batch in islice(_batches(tokenizer, recipe), recipe.steps):
        loss = model(**batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        yield loss.item()


def _rate(step: int, recipe: Recipe) -> float:
    """Rise linearly during the warm-up, then fall along a half cosine to nothing."""
    warmup = max(1, round(recipe.warmup * recipe.steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (recipe.steps - warmup)))


def _batches(
    tokenizer: PreTrainedTokenizerFast, recipe: Recipe
) -> Iterator[dict[str, torch.Tensor]]:
    windows = pack(_documents(tokenizer, recipe.seed), recipe.window, tokenizer.pad_token_id)
    while batch := list(islice(windows, recipe.batch)):
        yield collate(batch)


def _documents(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[list[int]]:
    """Encode round after round of the corpus; each round words the same facts anew."""
    rng = Random(seed)
    while True:
        texts = [f"{tokenizer.bos_token}{text}{tokenizer.eos_token}" for text in stories(rng)]
        texts += tokenizer.apply_chat_template(conversations(rng), tokenize=False)
        rng.shuffle(texts)
        yield from tokenizer(texts, add_special_tokens=False)["input_ids"]
