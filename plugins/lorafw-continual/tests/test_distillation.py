"""Learning without forgetting adds what its paper defines, however a batch is split."""

from __future__ import annotations

from typing import Any

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
from lorafw_continual._distillation import Distilled
from lorafw_continual.lwf import LwF

ROWS = toy_rows(5, seed=3)
OPTIONS = LwF(weight=0.7, temperature=2.0, chunk_rows=7)
CASES = [
    pytest.param(torch.float64, {}, id="adapter"),
    pytest.param(torch.float32, {"modules_to_save": ["lm_head"]}, id="trained head"),
]


def _model(seed: int, dtype: torch.dtype = torch.float64, **options: Any) -> AdaptedModel:
    """The toy with an adapter that acts; the same base for every seed."""
    model = ToyInjector(r=4, **options).inject(toy_bundle())
    as_if_trained(model, seed)
    model.bundle.module.to(dtype)
    return model


def _batch(rows: list[Encoded], layout: Layout = Layout.SEGMENTS) -> Batch:
    return ToyEncoder().collate(rows, layout, 3)


def _distilled(model: AdaptedModel, old: AdaptedModel) -> Distilled:
    objective = Distilled.of(CausalLM(chunk_rows=16), model, OPTIONS)
    objective.remember({name: p.detach().clone() for name, p in old.trainable().items()})
    return objective


def _logits(model: AdaptedModel, row: Encoded) -> Tensor:
    """Of the positions whose next token is trained, from the whole model."""
    logits = model.bundle.module(input_ids=torch.tensor([row.input_ids])).logits[0]
    following = [*row.labels[1:], IGNORE_INDEX]
    return logits[[at for at, label in enumerate(following) if label != IGNORE_INDEX]]


def _by_definition(model: AdaptedModel, old: AdaptedModel, targets: float) -> Tensor:
    heat, terms = OPTIONS.temperature, []
    for row in ROWS:
        new, wanted = _logits(model, row), torch.tensor(row.labels)[1:]
        before = F.softmax(_logits(old, row).detach() / heat, dim=-1)
        softened = F.softmax(new / heat, dim=-1)
        apart = (before * (before / softened).log()).sum()
        own = F.cross_entropy(new, wanted[wanted != IGNORE_INDEX], reduction="sum")
        terms.append(own + OPTIONS.weight * heat**2 * apart)
    return torch.stack(terms).sum() / targets


@pytest.mark.parametrize(("dtype", "injector"), CASES)
def test_loss_and_gradient_are_those_of_the_definition(
    dtype: torch.dtype, injector: dict[str, Any]
) -> None:
    model, old = _model(1, dtype, **injector), _model(2, dtype, **injector)
    objective, batch = _distilled(model, old), _batch(ROWS)
    totals = {name: float(count) for name, count in objective.counts(batch).items()}
    parameters = list(model.trainable().values())
    wanted = _by_definition(model, old, totals["targets"])
    found = objective.loss(model.bundle, batch, totals)
    torch.testing.assert_close(found, wanted)
    gradients = [torch.autograd.grad(each, parameters) for each in (found, wanted)]
    near = {} if dtype is torch.float64 else {"atol": 1e-5, "rtol": 1e-4}
    torch.testing.assert_close(gradients[0], gradients[1], **near)


@pytest.mark.parametrize("layout", Layout)
def test_every_split_of_a_batch_gives_the_same_sum(layout: Layout) -> None:
    model, old = _model(1), _model(2)
    objective, totals = _distilled(model, old), {"targets": 40.0}
    whole = objective.loss(model.bundle, _batch(ROWS), totals)
    parts = [
        objective.loss(model.bundle, _batch(rows, layout), totals)
        for rows in ([ROWS[0]], ROWS[1:3], ROWS[3:])
    ]
    torch.testing.assert_close(torch.stack(parts).sum(), whole)


def test_a_batch_without_targets_costs_exactly_nothing() -> None:
    model = _model(1)
    batch = _batch(ROWS).without_targets()
    loss = _distilled(model, _model(2)).loss(model.bundle, batch, {"targets": 3.0})
    assert loss.item() == 0.0
    gradients = torch.autograd.grad(loss, list(model.trainable().values()), allow_unused=True)
    assert not any(bool(each.any()) for each in gradients if each is not None)


def test_nothing_is_added_before_there_is_anything_to_hold_to() -> None:
    model, batch = _model(1), _batch(ROWS)
    objective = Distilled.of(CausalLM(), model, OPTIONS)
    own = CausalLM().loss(model.bundle, batch, {"targets": 9.0})
    torch.testing.assert_close(objective.loss(model.bundle, batch, {"targets": 9.0}), own)


def test_the_live_model_is_left_as_it_was() -> None:
    model = _model(1, dropout=0.5)
    model.train(mode=True)
    places = {name: p.data_ptr() for name, p in model.trainable().items()}
    modes = [part.training for part in model.bundle.module.modules()]
    objective = _distilled(model, _model(2))
    objective.loss(model.bundle, _batch(ROWS), {"targets": 9.0}).backward()
    assert {name: p.data_ptr() for name, p in model.trainable().items()} == places
    assert [part.training for part in model.bundle.module.modules()] == modes


def test_what_was_said_before_is_said_without_dropout() -> None:
    model, batch, own = _model(1, dropout=0.5), _batch(ROWS), CausalLM(chunk_rows=16)
    objective = _distilled(model, model)

    def added() -> float:
        state = torch.random.get_rng_state()
        with_old = objective.loss(model.bundle, batch, {"targets": 1.0}).item()
        torch.random.set_rng_state(state)
        return with_old - own.loss(model.bundle, batch, {"targets": 1.0}).item()

    assert added() == pytest.approx(0.0, abs=1e-9)  # the same model, and nothing is dropped
    model.train(mode=True)
    assert added() > 1e-3
