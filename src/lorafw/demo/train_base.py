"""Train the base model of the demo: ``python -m lorafw.demo.train_base --output DIR``."""

from __future__ import annotations

from pathlib import Path
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING

import click
import torch
from rich.progress import Progress
from transformers import GenerationConfig

from lorafw.demo.corpus import conversations, stories
from lorafw.demo.pretraining import Recipe, build_model, train
from lorafw.demo.tokenizer import train_tokenizer

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

__all__ = ["main"]

VOCABULARY = 1280
TOKENIZER_ROUNDS = 4
FINAL_STEPS = 50

MODEL_CARD = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---

# The base model of `lorafw demo`

A Llama of {parameters:,} parameters that knows a few facts about some animals, plants, jobs and
things. It answers questions on them in plain English, and is good for nothing else.

The text, the tokenizer and the weights were all made by this repository; no other material went in:

    python -m lorafw.demo.train_base --output DIR --steps {steps} --seed {seed} --threads {threads}

`lorafw.demo.corpus` writes the text. The mean loss of the last {final_steps} steps was {loss:.3f}
nats a token.

Licence: Apache-2.0.
"""


@click.command()
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--steps", type=click.IntRange(min=2), default=1200, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True)
def main(output: Path, steps: int, seed: int, threads: int) -> None:
    """Train the tokenizer and the base model of the demo, and write both to a folder."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    recipe = Recipe(steps=steps, seed=seed)
    tokenizer = train_tokenizer(_plain_texts(seed), VOCABULARY, recipe.window)
    model = build_model(tokenizer, recipe.window)
    losses = _watched(model, tokenizer, recipe)
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    _generation_config(tokenizer).save_pretrained(output)
    card = MODEL_CARD.format(
        parameters=model.num_parameters(),
        steps=steps,
        seed=seed,
        threads=threads,
        final_steps=FINAL_STEPS,
        loss=fmean(losses[-FINAL_STEPS:]),
    )
    (output / "README.md").write_text(card, encoding="utf-8")


def _plain_texts(seed: int) -> list[str]:
    rng = Random(seed)
    texts = []
    for _ in range(TOKENIZER_ROUNDS):
        texts += stories(rng)
        texts += [turn["content"] for talk in conversations(rng) for turn in talk]
    return texts


def _watched(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, recipe: Recipe
) -> list[float]:
    losses = []
    with Progress() as progress:
        task = progress.add_task("loss", total=recipe.steps)
        for loss in train(model, tokenizer, recipe):
            losses.append(loss)
            progress.update(task, advance=1, description=f"loss {loss:.3f}")
    return losses


def _generation_config(tokenizer: PreTrainedTokenizerFast) -> GenerationConfig:
    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


if __name__ == "__main__":
    main()
