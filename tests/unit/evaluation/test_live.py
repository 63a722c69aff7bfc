"""The live model's figures: the same for any number of ranks, steered or not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.evaluation.conftest import Train, sentences

import lorafw
from lorafw.builtin.metrics.classes import Classes
from lorafw.builtin.metrics.exact_match import ExactMatch
from lorafw.builtin.metrics.gsm8k import Gsm8kAnswer
from lorafw.builtin.metrics.loss import Loss
from lorafw.builtin.metrics.rouge import Rouge
from lorafw.builtin.text_pair import TextPair
from lorafw.contracts.metric import Metric
from lorafw.errors import DataError, UsageError
from lorafw.evaluation.live import Scored, own_figure, score_live
from lorafw.inference.loaded import LoadedModel
from lorafw.testing.toy_classifier import CLASSES, toy_classifier
from lorafw.types import Example, LabeledExample, PromptExample

METRICS: dict[str, Metric] = {"loss": Loss(), "rouge": Rouge()}
ROWS = [PromptExample(**row) for row in sentences(40, 3)]


class _NotAllAreThere(Exception):
    """Raised where a rank would wait for the others."""


class Ranks:
    """A trainer's ranks, one after another in this process."""

    def __init__(self, count: int) -> None:
        self.world = SimpleNamespace(rank=0, world_size=count)
        self._given: list[Any] = []

    def gather(self, value: Any) -> list[Any]:
        if len(self._given) < self.world.world_size:
            self._given.append(value)
            raise _NotAllAreThere
        return self._given

    def share(self, value: Any) -> Any:
        return value

    def score(self, *arguments: Any, **options: Any) -> Scored:
        """Every rank's part, and then what rank 0 makes of all of them."""
        for rank in range(self.world.world_size):
            self.world.rank = rank
            with pytest.raises(_NotAllAreThere):
                score_live(*arguments, running=self, **options)  # type: ignore[arg-type]
        return score_live(*arguments, running=self, **options)  # type: ignore[arg-type]


def alone(
    model: LoadedModel,
    rows: Sequence[Example],
    metrics: dict[str, Metric],
    steer: Callable[[Example], Any] | None = None,
) -> Scored:
    ranks = SimpleNamespace(
        world=SimpleNamespace(rank=0, world_size=1),
        gather=lambda value: [value],
        share=lambda value: value,
    )
    return score_live(model, rows, metrics, running=ranks, steer=steer, max_new_tokens=6)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model(train: Train) -> LoadedModel:
    return lorafw.load(train("fp32"))


@pytest.fixture(scope="module")
def scored(model: LoadedModel) -> Scored:
    return alone(model, ROWS, METRICS)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_figures_are_the_same_to_the_bit_for_any_number_of_ranks(
    model: LoadedModel, scored: Scored, count: int
) -> None:
    found = Ranks(count).score(model, ROWS, METRICS, max_new_tokens=6)
    assert found.figures == scored.figures
    assert found.predictions == scored.predictions


def test_figures_are_those_of_the_rows_together(model: LoadedModel, scored: Scored) -> None:
    loss = model.perplexity(ROWS).loss
    assert scored.figures["loss"] == pytest.approx(loss, rel=1e-6)
    assert scored.figures["perplexity"] == pytest.approx(math.exp(loss), rel=1e-5)
    assert {"rouge1", "rouge2", "rougeL"} < set(scored.figures)


def test_predictions_are_texts_in_the_order_of_the_rows(model: LoadedModel, scored: Scored) -> None:
    assert len(scored.predictions) == len(ROWS)
    for row, said in zip(ROWS, scored.predictions, strict=True):
        assert (said["prompt"], said["label"]) == (row.prompt, row.response)
    for row, said in zip(ROWS[:5], scored.predictions, strict=False):
        assert said["answer"] == model.generate(row.prompt, max_new_tokens=6)


def test_without_a_metric_of_answers_none_are_written(model: LoadedModel) -> None:
    found = alone(model, ROWS[:3], {"loss": Loss()})
    assert found.predictions == []
    assert set(found.figures) == {"loss", "perplexity"}


def test_figures_of_one_name_are_told_apart_by_their_metrics(model: LoadedModel) -> None:
    metrics: dict[str, Metric] = {"near": ExactMatch(), "far": ExactMatch(ignore_case=False)}
    found = alone(model, ROWS[:3], {**metrics, **METRICS})
    assert {"near.exact_match", "far.exact_match", "loss", "rougeL"} < set(found.figures)
    assert "exact_match" not in found.figures


def test_rows_are_judged_by_the_headline_of_their_first_metric() -> None:
    assert own_figure({"rouge": Rouge(), "loss": Loss()}) == ("rougeL", "higher")
    assert own_figure({"loss": Loss(), "rouge": Rouge()}) == ("loss", "lower")
    assert own_figure({"near": ExactMatch(), "far": ExactMatch()}) == ("near.exact_match", "higher")
    assert own_figure({"classes": Classes()}) == ("accuracy", "higher")


def test_rows_without_a_target_are_left_out(model: LoadedModel, scored: Scored) -> None:
    untaught = PromptExample("the cat", "")
    assert alone(model, [untaught, *ROWS], METRICS).figures == scored.figures
    for rows in ([], [untaught]):
        with pytest.raises(UsageError, match="no held-out row has anything to measure"):
            alone(model, rows, METRICS)


def test_a_row_that_a_metric_cannot_score_is_named(model: LoadedModel) -> None:
    rows = [PromptExample("the cat", "#### 7"), *ROWS[:2]]
    with pytest.raises(DataError, match="held-out row 2: metric gsm8k finds no number"):
        alone(model, rows, {"gsm8k": Gsm8kAnswer()})


def test_every_row_is_steered_in_turn(model: LoadedModel) -> None:
    asked: list[Example] = []
    assert model.adapted is not None

    @contextmanager
    def without_adapter(example: Example) -> Iterator[Example]:
        asked.append(example)
        assert model.adapted is not None
        with model.adapted.disabled():
            yield example

    found = alone(model, ROWS[:8], {"rouge": Rouge()}, without_adapter)
    assert asked == ROWS[:8]
    assert found.figures["loss"] == pytest.approx(
        model.perplexity(ROWS[:8], adapter=False).loss, rel=1e-5
    )
    assert found.figures["loss"] != pytest.approx(model.perplexity(ROWS[:8]).loss, rel=1e-3)
    assert set(found.figures) == {"loss", "rouge1", "rouge2", "rougeL"}
    for row, said in zip(ROWS, found.predictions, strict=False):
        assert said["answer"] == model.generate(row.prompt, adapter=False, max_new_tokens=6)


def test_what_a_steer_asks_in_place_of_a_row_is_held_against_the_row(model: LoadedModel) -> None:
    @contextmanager
    def another(example: Example) -> Iterator[Example]:
        assert isinstance(example, PromptExample)
        yield replace(example, prompt="seven small birds", response="an old barn")

    found = alone(model, ROWS[:3], {"exact-match": ExactMatch()}, another)
    told = model.generate("seven small birds", max_new_tokens=6)
    instead = [PromptExample("seven small birds", "an old barn")] * 3
    assert found.figures["loss"] == pytest.approx(model.perplexity(instead).loss, rel=1e-5)
    for row, said in zip(ROWS, found.predictions, strict=False):
        assert said == {"prompt": row.prompt, "answer": told, "label": row.response}


def test_a_classifier_has_a_loss_when_it_is_steered() -> None:
    model = LoadedModel(toy_classifier(), TextPair())
    rows = [LabeledExample(text, None, at) for at, text in enumerate(["a cat", "birds fly", "an"])]

    @contextmanager
    def as_it_is(example: Example) -> Iterator[Example]:
        yield example

    found = alone(model, rows, {"classes": Classes()}, as_it_is)
    chances = model.classify([row.text for row in rows])
    losses = [-math.log(each[CLASSES[row.label]]) for each, row in zip(chances, rows, strict=True)]
    assert found.figures["loss"] == pytest.approx(sum(losses) / 3, rel=1e-5)
    assert [said["label"] for said in found.predictions] == list(CLASSES)
    likeliest = [max(each, key=lambda name: each[name]) for each in chances]
    assert [said["answer"] for said in found.predictions] == likeliest
