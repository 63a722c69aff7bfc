"""NEFTune's noise depends on seed, step, row and position, and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lorafw.assembly.registry import Registry
from lorafw.contracts import Trainer
from lorafw.errors import TrainingError
from lorafw.testing.toy_training import Trained, started, toy_model, train, training_plan
from lorafw.testing.toys import ToyEncoder, toy_rows
from lorafw.training.embedding_noise import Places, noise
from lorafw.types import Encoded, Layout

ROWS = st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=9), min_size=1, max_size=5)


def noise_of(
    rows: Sequence[Sequence[int]], layout: Layout, *, key: int = 7, width: int = 6
) -> list[Tensor]:
    """The noise of each row, laid out together with the others."""
    encoded = [Encoded(row, row) for row in rows]
    places = Places.of(ToyEncoder().collate(encoded, layout, 0).inputs)
    found = noise(places, width, 5.0, key)
    return [found[(places.row == number) & places.real] for number in range(len(rows))]


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_a_row_has_the_same_noise_in_any_company(rows: list[list[int]]) -> None:
    alone = [noise_of([row], Layout.SEGMENTS)[0] for row in rows]
    for layout in Layout:
        together = noise_of(rows, layout)
        assert [len(part) for part in together] == [len(row) for row in rows]
        assert all(a.equal(b) for a, b in zip(alone, together, strict=True))


def test_step_position_tokens_and_channel_all_matter() -> None:
    row = [4, 5, 5, 4]
    (here,) = noise_of([row], Layout.SEGMENTS)
    (later,) = noise_of([row], Layout.SEGMENTS, key=8)
    (other,) = noise_of([[4, 5, 4, 5]], Layout.SEGMENTS)
    values = torch.cat([here, later, other]).flatten()
    assert len(values.unique()) == len(values)


def test_it_is_uniform_within_the_papers_bound() -> None:
    length, width = 50, 400
    (found,) = noise_of([list(range(length))], Layout.PADDED, width=width)
    unit = (found * (length * width) ** 0.5 / 5.0).double()
    assert -1 <= unit.min() < -0.999
    assert 0.999 < unit.max() <= 1
    assert abs(float(unit.mean())) < 0.02
    assert float(unit.var()) == pytest.approx(1 / 3, rel=0.02)
    near = torch.corrcoef(torch.stack([unit[:, :-1].flatten(), unit[:, 1:].flatten()]))[0, 1]
    next_token = torch.corrcoef(torch.stack([unit[:-1].flatten(), unit[1:].flatten()]))[0, 1]
    assert max(abs(float(near)), abs(float(next_token))) < 0.03


def trained(alpha: float | None, budget: int, layout: str, **job: object) -> Trained:
    trainer = Registry().load("trainer", "ddp")()
    assert isinstance(trainer, Trainer)
    plan = training_plan(neftune_alpha=alpha, micro_batch_tokens=budget, max_steps=3)
    with started(trainer) as running:
        return train(running, plan=plan, layout=Layout(layout), **job)


@pytest.fixture(scope="module")
def noisy() -> Trained:
    return trained(5.0, 10_000, "segments", eval_rows=toy_rows(3, seed=3))


@pytest.mark.parametrize(("budget", "layout"), [(1, "segments"), (60, "padded")])
def test_training_is_the_same_however_it_is_cut(noisy: Trained, budget: int, layout: str) -> None:
    found = trained(5.0, budget, layout)
    assert found.figures("loss") == pytest.approx(noisy.figures("loss"), rel=1e-5)
    off = max(float((found.values[n] - v).abs().max()) for n, v in noisy.values.items())
    assert off <= 5e-6


def test_only_training_is_noisy(noisy: Trained) -> None:
    plain = trained(None, 10_000, "segments", eval_rows=toy_rows(3, seed=3))
    assert plain.result.evaluation_before == noisy.result.evaluation_before
    assert plain.figures("loss")[0] != pytest.approx(noisy.figures("loss")[0], rel=1e-4)


def test_a_model_that_bypasses_its_embedding_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy_model()
    elsewhere = torch.nn.Embedding(3, 4)
    monkeypatch.setattr(model.bundle.module, "get_input_embeddings", lambda: elsewhere)
    with pytest.raises(TrainingError, match=r"plan.neftune_alpha: .* embedding"):
        trained(5.0, 10_000, "segments", model=model)
