"""LFPT5's three losses are those of its paper, however a batch is split or laid out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import AdaptedModel
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import ToyEncoder, toy_bundle, toy_rows
from lorafw.testing.values import as_if_trained
from lorafw.types import IGNORE_INDEX, Batch, Encoded, Layout
from lorafw_continual._generated_form import Form, WrittenRows
from lorafw_continual._generator_loss import Generating
from lorafw_continual.lfpt5 import LFPT5

FORMS = (Form((60, 61), (62,), 1000), Form((63,), (62,), 1000))
SOLVED = toy_rows(3, seed=3, longest=16, vocabulary=60)
PSEUDO = toy_rows(2, seed=4, longest=16, vocabulary=60)
WRITTEN = [*WrittenRows(SOLVED, FORMS[0]), *WrittenRows(PSEUDO, FORMS[1])]
ROWS = [SOLVED[0], WRITTEN[0], PSEUDO[0], *WRITTEN[1:4], *SOLVED[1:], PSEUDO[1], WRITTEN[4]]
OPTIONS = LFPT5(lambda_lm=0.3, lambda_kl=0.6, chunk_rows=7)


def _model(seed: int) -> AdaptedModel:
    """The toy in fp64 with an adapter that acts; the same base for every seed."""
    model = ToyInjector(r=4).inject(toy_bundle())
    as_if_trained(model, seed)
    model.bundle.module.to(torch.float64)
    return model


def _batch(rows: list[Encoded], layout: Layout = Layout.SEGMENTS) -> Batch:
    return ToyEncoder().collate(rows, layout, 3)


def _generating(model: AdaptedModel, old: AdaptedModel | None) -> Generating:
    marks = [form.mark for form in FORMS]
    objective = Generating.of(CausalLM(chunk_rows=16), model, marks, OPTIONS)
    if old is not None:
        values = {name: p.detach().clone() for name, p in old.trainable().items()}
        objective.hold(values, PSEUDO)
    return objective


def _logits(model: AdaptedModel, row: Encoded) -> Tensor:
    """Of the positions whose next token is trained, from the whole model."""
    logits = model.bundle.module(input_ids=torch.tensor([row.input_ids])).logits[0]
    following = [*row.labels[1:], IGNORE_INDEX]
    return logits[[at for at, label in enumerate(following) if label != IGNORE_INDEX]]


def _surprise(model: AdaptedModel, row: Encoded) -> Tensor:
    wanted = torch.tensor(row.labels)[1:]
    return F.cross_entropy(_logits(model, row), wanted[wanted != IGNORE_INDEX], reduction="sum")


def _apart(model: AdaptedModel, old: AdaptedModel, row: Encoded) -> Tensor:
    """KL(old ‖ new)."""
    before, now = (F.softmax(_logits(each, row), dim=-1) for each in (old, model))
    return (before.detach() * (before.detach() / now).log()).sum()


def _by_definition(model: AdaptedModel, old: AdaptedModel, targets: float) -> Tensor:
    task = [_surprise(model, row) for row in (*SOLVED, *PSEUDO)]
    lm = [_surprise(model, row) for row in WRITTEN]
    kl = [_apart(model, old, row) for row in PSEUDO]
    sums = [torch.stack(terms).sum() for terms in (task, lm, kl)]
    return (sums[0] + OPTIONS.lambda_lm * sums[1] + OPTIONS.lambda_kl * sums[2]) / targets


def test_loss_and_gradient_are_those_of_the_definition() -> None:
    model, old = _model(1), _model(2)
    objective, batch = _generating(model, old), _batch(ROWS)
    targets = float(sum(row.targets for row in ROWS))
    assert objective.counts(batch) == {"targets": targets}
    found = objective.loss(model.bundle, batch, {"targets": targets})
    wanted = _by_definition(model, old, targets)
    torch.testing.assert_close(found, wanted)
    parameters = list(model.trainable().values())
    gradients = [torch.autograd.grad(each, parameters) for each in (found, wanted)]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_the_model_itself_is_held_by_nothing() -> None:
    model, batch, totals = _model(1), _batch(ROWS), {"targets": 9.0}
    held = _generating(model, model).loss(model.bundle, batch, totals)
    free = _generating(model, None).loss(model.bundle, batch, totals)
    torch.testing.assert_close(held, free)
    parameters = list(model.trainable().values())
    gradients = [torch.autograd.grad(each, parameters) for each in (held, free)]
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("layout", Layout)
def test_every_split_of_a_batch_gives_the_same_sum(layout: Layout) -> None:
    model, totals = _model(1), {"targets": 40.0}
    objective = _generating(model, _model(2))
    whole = objective.loss(model.bundle, _batch(ROWS), totals)
    parts = [
        objective.loss(model.bundle, _batch(rows, layout), totals)
        for rows in (ROWS[:1], ROWS[1:2], ROWS[2:5], ROWS[5:])
    ]
    torch.testing.assert_close(torch.stack(parts).sum(), whole)


@pytest.mark.parametrize("layout", Layout)
def test_a_batch_without_targets_costs_exactly_nothing(layout: Layout) -> None:
    model = _model(1)
    batch = _batch(ROWS, layout).without_targets()
    loss = _generating(model, _model(2)).loss(model.bundle, batch, {"targets": 3.0})
    assert loss.item() == 0.0
    gradients = torch.autograd.grad(loss, list(model.trainable().values()), allow_unused=True)
    assert not any(bool(each.any()) for each in gradients if each is not None)


def test_held_out_rows_are_measured_as_ever() -> None:
    model, batch = _model(1), _batch(SOLVED)
    objective = _generating(model, _model(2))
    own = CausalLM().measure(model.bundle, batch)
    found = objective.measure(model.bundle, batch)
    torch.testing.assert_close(dict(found), dict(own))
    figures = {"loss": 6.0, "targets": 3.0}
    assert objective.summarise(figures) == CausalLM().summarise(figures)
