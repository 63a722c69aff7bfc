"""Losses of rows: against one pass per row, in any batch, in fp32 and bf16."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from lorafw.builtin.causal_lm import CausalLM
from lorafw.builtin.prompt import Prompt
from lorafw.errors import UsageError
from lorafw.inference.likelihood import row_losses
from lorafw.inference.loaded import LoadedModel
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import ToyEncoder, toy_bundle, toy_rows
from lorafw.testing.values import as_if_trained
from lorafw.types import IGNORE_INDEX, Encoded, Layout, PromptExample

ROWS = toy_rows(9, seed=4)


def by_hand(model: LoadedModel, row: Encoded, *, adapter: bool = True) -> float:
    """-log p of a row's labels from the logits of the row alone."""
    chances = model.logits(row.input_ids, adapter=adapter).double().log_softmax(-1)
    following = enumerate(row.labels[1:])
    return -sum(float(chances[at, label]) for at, label in following if label != IGNORE_INDEX)


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    adapted = ToyInjector(r=4).inject(toy_bundle())
    as_if_trained(adapted)
    return LoadedModel(adapted.bundle, Prompt(separator=" "), adapted)


@pytest.mark.parametrize("adapter", [True, False])
def test_every_row_has_the_loss_it_has_alone(model: LoadedModel, adapter: bool) -> None:
    found = model.row_losses(ROWS, adapter=adapter)
    assert [row.tokens for row in found] == [row.targets for row in ROWS]
    expected = [by_hand(model, row, adapter=adapter) for row in ROWS]
    assert [row.loss for row in found] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("batch_tokens", [1, 60, 10_000])
def test_batches_change_nothing(dtype: str, batch_tokens: int) -> None:
    bundle = toy_bundle(dtype)
    alone = [row_losses(bundle, ToyEncoder(), [row])[0] for row in ROWS]
    found = row_losses(bundle, ToyEncoder(), ROWS, batch_tokens=batch_tokens)
    tolerance = 1e-5 if dtype == "fp32" else 2e-2
    assert [row.loss for row in found] == pytest.approx([row.loss for row in alone], rel=tolerance)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_it_is_what_training_measures(dtype: str) -> None:
    bundle, objective = toy_bundle(dtype), CausalLM()
    with torch.no_grad():
        batch = ToyEncoder().collate(ROWS, Layout.PADDED, bundle.pad_id)
        sums = {name: float(sum_) for name, sum_ in objective.measure(bundle, batch).items()}
    found = row_losses(bundle, ToyEncoder(), ROWS)
    loss = sum(row.loss for row in found) / sum(row.tokens for row in found)
    assert loss == pytest.approx(objective.summarise(sums)["loss"], rel=1e-5)


def test_every_token_of_a_text_counts_but_the_first(model: LoadedModel) -> None:
    ids = model.bundle.tokenizer.encode("the cat sat on a mat")
    found = model.perplexity("the cat sat on a mat")
    assert found.tokens == len(ids) - 1 == 5
    assert found.loss == pytest.approx(by_hand(model, Encoded(ids, ids)) / 5, rel=1e-5)
    assert found.perplexity == pytest.approx(math.exp(found.loss))


def test_tokens_of_several_texts_weigh_the_same(model: LoadedModel) -> None:
    short, long = model.perplexity("a cat"), model.perplexity("the old barn and the small birds")
    both = model.perplexity(["a cat", "the old barn and the small birds"])
    weighed = short.loss * short.tokens + long.loss * long.tokens
    assert both.tokens == short.tokens + long.tokens
    assert both.loss == pytest.approx(weighed / both.tokens)


def test_of_an_example_the_response_and_its_end_count(model: LoadedModel) -> None:
    example = PromptExample("the cat sat", "on a mat")
    row = model.row_encoder.encode(example, model.bundle.tokenizer)
    assert row is not None
    found = model.perplexity(example)
    assert found.tokens == 4
    assert found.loss == pytest.approx(by_hand(model, row) / 4, rel=1e-5)
    assert model.perplexity(example, adapter=False).loss != pytest.approx(found.loss)


@pytest.mark.parametrize(
    ("texts", "fault"),
    [
        ([], "there are no texts"),
        ("", "nothing to measure"),
        ("cat", "nothing to measure in 'cat'"),
        (PromptExample("a", ""), "nothing to measure in PromptExample"),
        ("cat " * 200, "200 tokens, the model's context is 128"),
    ],
)
def test_what_cannot_be_measured_is_refused(model: LoadedModel, texts: Any, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        model.perplexity(texts)


def test_a_merged_adapter_leaves_no_base_to_ask(model: LoadedModel) -> None:
    assert model.has_base
    model.merge()
    assert not model.has_base
    with pytest.raises(UsageError, match="part of the weights"):
        model.perplexity("a cat sat", adapter=False)
    model.unmerge()
