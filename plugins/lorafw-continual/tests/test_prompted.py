"""Learning to prompt minimises what its paper defines, however a batch is split and laid out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import AdaptedModel, TrainJob
from lorafw.errors import CompositionError
from lorafw.stages.embedding import embeddings
from lorafw.testing.toy_training import started, training_plan
from lorafw.testing.toys import ToyEncoder, toy_bundle, toy_rows
from lorafw.testing.values import as_if_trained
from lorafw.types import IGNORE_INDEX, Batch, Encoded, Layout
from lorafw_continual._prompt_pool import TABLE, Pool
from lorafw_continual._prompted import Prompted, Rows
from lorafw_ddp.trainer import DDPTrainer
from lorafw_peft.injector import PeftInjector

POOL = Pool(size=4, length=2, chosen=2)
WEIGHT = 0.7
ROWS = toy_rows(5, seed=3, longest=16)


def _model(seed: int = 1, dtype: torch.dtype = torch.float64, tokens: int = 12) -> AdaptedModel:
    options = {"num_virtual_tokens": tokens}
    model = PeftInjector(method="prompt_tuning", method_options=options).inject(toy_bundle())
    as_if_trained(model, seed)
    model.bundle.module.to(dtype)
    return model


def _objective(model: AdaptedModel, weight: float = WEIGHT) -> Prompted:
    return Prompted.of(CausalLM(chunk_rows=16), model, POOL, weight)


def _batch(rows: list[Encoded], layout: Layout = Layout.SEGMENTS) -> Batch:
    return ToyEncoder().collate(rows, layout, 3)


def _query(row: Encoded) -> Tensor:
    """The mean of what comes out of the base before its head, over the tokens asked."""
    base: Any = toy_bundle().module.double()
    asked = row.labels.count(IGNORE_INDEX)
    hidden = base.model(input_ids=torch.tensor([row.input_ids])).last_hidden_state
    mean: Tensor = hidden[0, :asked].mean(0).detach()
    return mean


def _by_definition(model: AdaptedModel, targets: float) -> tuple[Tensor, Tensor]:
    """Eq. 5 row by row: [P_s1, …, P_sN, x] as embeddings, and the γ of the chosen keys."""
    base: Any = toy_bundle().module.double()
    blocks, losses, pulls = model.trainable()[TABLE].view(4, 3, -1), [], []
    for row in ROWS:
        apart = 1 - F.cosine_similarity(_query(row)[None], blocks[:, 0])
        nearest = apart.argsort()[:2]
        before = blocks[nearest, 1:].flatten(0, 1)
        words = base.get_input_embeddings()(torch.tensor(row.input_ids))
        logits = base(inputs_embeds=torch.cat([before, words])[None]).logits[0, len(before) :]
        labels = torch.tensor([*row.labels[1:], IGNORE_INDEX])
        losses.append(F.cross_entropy(logits, labels, reduction="sum"))
        pulls.append(apart[nearest].sum() * (labels != IGNORE_INDEX).sum())
    return torch.stack(losses).sum() / targets, torch.stack(pulls).sum() / targets


@pytest.mark.parametrize("layout", Layout)
def test_loss_and_gradient_are_those_of_the_definition(layout: Layout) -> None:
    model = _model()
    objective, batch = _objective(model), _batch(ROWS, layout)
    totals = {name: float(count) for name, count in objective.counts(batch).items()}
    own, pull = _by_definition(model, totals["targets"])
    found = objective.loss(model.bundle, batch, totals)
    torch.testing.assert_close(found, own + WEIGHT * pull)
    (gradient,) = torch.autograd.grad(found, [model.trainable()[TABLE]])
    (wanted,) = torch.autograd.grad(own + WEIGHT * pull, [model.trainable()[TABLE]])
    torch.testing.assert_close(gradient, wanted)
    assert gradient[::3].any(dim=1).sum() >= POOL.chosen


def test_only_chosen_keys_are_pulled_and_towards_the_query() -> None:
    model, row = _model(), [ROWS[0]]
    table = model.trainable()[TABLE]
    chosen = _cosines(model, ROWS[0]).topk(POOL.chosen).indices
    loss = _objective(model).loss(model.bundle, _batch(row), {"targets": 9.0})
    (gradient,) = torch.autograd.grad(loss, [table])
    moved = gradient[::3].any(dim=1).nonzero().flatten()
    assert sorted(moved.tolist()) == sorted(chosen.tolist())
    before = _cosines(model, ROWS[0])
    with torch.no_grad():
        table.sub_(0.01 * gradient)
    assert (_cosines(model, ROWS[0])[chosen] > before[chosen]).all()


def _cosines(model: AdaptedModel, row: Encoded) -> Tensor:
    return F.cosine_similarity(_query(row)[None], model.trainable()[TABLE].detach()[::3])


@pytest.mark.parametrize("layout", Layout)
def test_every_split_of_a_batch_gives_the_same_sum(layout: Layout) -> None:
    model, totals = _model(), {"targets": 40.0}
    objective = _objective(model)
    whole = objective.loss(model.bundle, _batch(ROWS), totals)
    parts = [
        objective.loss(model.bundle, _batch(rows, layout), totals)
        for rows in ([ROWS[0]], ROWS[1:3], ROWS[3:])
    ]
    torch.testing.assert_close(torch.stack(parts).sum(), whole)


def test_a_batch_without_targets_costs_exactly_nothing() -> None:
    model = _model()
    loss = _objective(model).loss(model.bundle, _batch(ROWS).without_targets(), {"targets": 3.0})
    assert loss.item() == 0.0
    (gradient,) = torch.autograd.grad(loss, [model.trainable()[TABLE]])
    assert not gradient.any()


@pytest.mark.parametrize("layout", Layout)
def test_held_out_rows_are_measured_with_their_prompts_and_without_keys(layout: Layout) -> None:
    model, batch = _model(), _batch(ROWS, layout)
    measured = _objective(model).measure(model.bundle, batch)
    own, _ = _by_definition(model, float(measured["targets"]))
    torch.testing.assert_close(measured["loss"] / measured["targets"], own)


@pytest.mark.parametrize("layout", Layout)
def test_queries_are_what_the_session_embeds(layout: Layout, tmp_path: Path) -> None:
    model = _model(dtype=torch.float32)
    plan = training_plan()
    job = TrainJob(model, CausalLM(), ToyEncoder(), ROWS, plan, checkpoints=tmp_path)
    batch = _batch(ROWS, layout)
    found = _objective(model)._queries(model.bundle, batch, Rows.of(batch))
    with started(DDPTrainer()) as running:
        wanted = embeddings(job, running, ROWS)
        asked = [Encoded(r.input_ids[: r.labels.count(IGNORE_INDEX)], []) for r in ROWS]
        prompts = [Encoded(r.input_ids, [IGNORE_INDEX] * len(r.input_ids)) for r in asked]
        alone = torch.cat([embeddings(job, running, [prompt]) for prompt in prompts])
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)


def test_noise_on_embeddings_does_not_change_the_choice() -> None:
    model, batch = _model(), _batch(ROWS)
    embedding = model.bundle.module.get_submodule("model.embed_tokens")
    rows, objective = Rows.of(batch), _objective(model)
    before = objective._queries(model.bundle, batch, rows)
    handle = embedding.register_forward_hook(lambda *given: given[-1] + 1)
    try:
        assert torch.equal(objective._queries(model.bundle, batch, rows), before)
    finally:
        handle.remove()


def test_the_model_is_left_as_it_was() -> None:
    model, batch = _model(), _batch(ROWS)
    with torch.no_grad():
        before = model.bundle.hidden(batch.inputs).rows
        _objective(model).measure(model.bundle, batch)
        assert torch.equal(model.bundle.hidden(batch.inputs).rows, before)
    assert model.spec.options["num_virtual_tokens"] == 12


def test_queries_of_another_width_than_tokens_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, batch = _model(), _batch(ROWS)
    monkeypatch.setattr(Prompted, "_queries", lambda *_: torch.zeros(5, 7))
    with pytest.raises(CompositionError, match="as wide as tokens, 32, and queries are 7"):
        _objective(model).measure(model.bundle, batch)
