"""A trial of budgets finds the fastest and leaves no trace."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lorafw.assembly.registry import Registry
from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import TrainJob
from lorafw.planning import budget_trial
from lorafw.planning.budget_trial import Trial, try_budgets
from lorafw.testing.toy_training import SEED, toy_model, training_plan, training_rows
from lorafw.testing.toys import ToyEncoder, toy_bundle
from lorafw.testing.values import equal
from lorafw.types import Layout

CPU = torch.device("cpu")
BUDGETS = (20, 40, 80, 10_000)


@pytest.fixture(autouse=True)
def small_budgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_trial, "BUDGETS", BUDGETS)


def job_of(model: Any = None, **plan: Any) -> TrainJob:
    return TrainJob(
        model=model or toy_model(),
        objective=CausalLM(chunk_rows=16),
        encoder=ToyEncoder(),
        rows=training_rows(),
        plan=training_plan(global_batch_size=13, **plan),
        layout=Layout.SEGMENTS,
        seed=SEED,
    )


def timed_as(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> list[int]:
    """Let passes over so many micro-batches take so long; gets how many there were each time."""
    seen: list[int] = []

    def timed(module: object, job: object, batches: list[Any]) -> float:
        seen.append(len(batches))
        return seconds.get(f"of_{len(batches)}", 1.0)

    monkeypatch.setattr(budget_trial, "_timed", timed)
    return seen


def test_every_budget_is_tried_twice_in_turn_on_the_same_rows() -> None:
    found = try_budgets(job_of(), CPU, ranks=1, most=10_000)
    assert tuple(found.tokens_per_second) == BUDGETS[: len(found.tokens_per_second)]
    assert found.chosen in found.tokens_per_second
    assert min(found.tokens_per_second.values()) > 0
    assert "Calibrated: plan.micro_batch_tokens" in str(found)


def test_rounds_are_interleaved(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = timed_as(monkeypatch)
    try_budgets(job_of(), CPU, 1, 10_000)
    warming, *rounds = seen
    half = len(rounds) // 2
    assert rounds[:half] == rounds[half:]
    assert warming == rounds[0] > rounds[half - 1]


def test_a_larger_budget_must_be_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = timed_as(monkeypatch)
    try_budgets(job_of(), CPU, 1, 10_000)
    first, *_, last = sorted(set(seen), reverse=True)
    timed_as(monkeypatch, **{f"of_{last}": 0.98})
    assert try_budgets(job_of(), CPU, 1, 10_000).chosen == BUDGETS[0]
    timed_as(monkeypatch, **{f"of_{last}": 0.9})
    assert try_budgets(job_of(), CPU, 1, 10_000).chosen > BUDGETS[0]
    assert first > last


def test_what_does_not_fit_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(module: object, job: object, batches: list[Any]) -> float:
        if len(batches) < 3:
            raise torch.OutOfMemoryError("out of memory")
        return 1.0 / len(batches)

    assert max(try_budgets(job_of(), CPU, 1, 40).tokens_per_second) == 40
    monkeypatch.setattr(budget_trial, "_timed", lacking)
    found = try_budgets(job_of(), CPU, 1, 10_000)
    assert 10_000 not in found.tokens_per_second
    assert found.chosen in found.tokens_per_second


def test_budgets_that_cut_alike_need_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_trial, "BUDGETS", (5000, 10_000))
    found = try_budgets(job_of(), CPU, 1, 10_000)
    assert found == Trial(5000, {})
    assert "alike" in str(found)


@pytest.mark.parametrize("activations", ["keep", "checkpoint"])
def test_no_trace_is_left(activations: str) -> None:
    part: Any = Registry().load("injector", "peft")
    model = part(r=4, dropout=0.5).inject(toy_bundle())
    model.reset(SEED)
    before = {name: p.detach().clone() for name, p in model.trainable().items()}
    random = torch.get_rng_state()
    try_budgets(job_of(model, activations=activations), CPU, 1, 10_000)
    assert equal(dict(model.trainable()), before)
    assert all(parameter.grad is None for parameter in model.trainable().values())
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(module.training for module in model.bundle.module.modules())
    assert not [layer for layer in model.bundle.layers if "forward" in vars(layer)]
