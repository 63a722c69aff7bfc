"""The objective against plain cross-entropy; the contract kit tests the rest of its promises."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts.model import Hidden
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.testing.toys import ToyEncoder, toy_llama, toy_rows, toy_tokenizer
from lorafw.types import IGNORE_INDEX, Layout


@pytest.fixture(scope="module")
def bundle() -> TransformersBundle:
    return TransformersBundle(toy_llama(), toy_tokenizer(), base="toy")


@pytest.mark.parametrize("layout", Layout)
def test_the_loss_is_cross_entropy_over_the_total(
    bundle: TransformersBundle, layout: Layout
) -> None:
    rows = toy_rows(5)
    batch = ToyEncoder().collate(rows, layout, bundle.pad_id)
    wanted = torch.zeros(())
    for row in rows:
        logits = bundle.module(input_ids=torch.tensor([list(row.input_ids)])).logits[0, :-1]
        labels = torch.tensor(list(row.labels[1:]))
        wanted += F.cross_entropy(logits, labels, ignore_index=IGNORE_INDEX, reduction="sum")
    found = CausalLM(chunk_rows=7).loss(bundle, batch, {"targets": 200.0})
    assert torch.allclose(found, wanted / 200, rtol=1e-5)
    assert CausalLM().counts(batch)["targets"] == sum(row.targets for row in rows)


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("by_position", [False, True])
def test_what_the_model_adds_counts_where_a_label_is(
    bundle: TransformersBundle, monkeypatch: pytest.MonkeyPatch, layout: Layout, by_position: bool
) -> None:
    batch = ToyEncoder().collate(toy_rows(5), layout, bundle.pad_id)
    added = torch.rand(batch.labels.shape) if by_position else torch.tensor(3.0)
    without, rows = CausalLM().loss(bundle, batch, {"targets": 200.0}), bundle.hidden(batch.inputs)
    monkeypatch.setattr(bundle, "hidden", lambda _: Hidden(rows.rows, added))
    found = CausalLM().loss(bundle, batch, {"targets": 200.0}) - without
    trained = added.expand(batch.labels.shape)[batch.labels != IGNORE_INDEX]
    assert float(found) == pytest.approx(float(trained.sum()) / 200, abs=1e-5)


def test_figures_are_means() -> None:
    figures = CausalLM().summarise({"loss": 30.0, "targets": 10.0})
    assert figures["loss"] == 3.0
    assert figures["perplexity"] == pytest.approx(20.0855, rel=1e-4)
