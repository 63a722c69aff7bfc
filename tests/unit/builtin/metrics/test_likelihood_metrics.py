from __future__ import annotations

import math

import pytest

from lorafw.builtin.metrics.choices import Choices
from lorafw.builtin.metrics.classes import Classes
from lorafw.builtin.metrics.loss import Loss
from lorafw.contracts import Classified, Predicted, Weighed
from lorafw.figures.resampling import total


def test_tokens_weigh_the_same_in_a_loss() -> None:
    rows = [Loss().measure(Predicted(6.0, 2)), Loss().measure(Predicted(2.0, 6))]
    expected = {"loss": 1.0, "perplexity": math.e}
    assert Loss().summarise(total(rows)) == pytest.approx(expected)


def test_a_perplexity_stays_a_number() -> None:
    assert math.isfinite(Loss().summarise({"loss": 1e6, "tokens": 1.0})["perplexity"])


@pytest.mark.parametrize(
    ("right", "found"),
    [
        (0, {"acc": 1, "acc_norm": 0, "acc_token": 0}),
        (1, {"acc": 0, "acc_norm": 0, "acc_token": 1}),
        (2, {"acc": 0, "acc_norm": 1, "acc_token": 0}),
    ],
)
def test_choices_by_sum_by_byte_and_by_token(right: int, found: dict[str, float]) -> None:
    # per token -3, -1, -1.5; per byte -1.5, -1, -0.5
    row = Weighed(right, (-3.0, -4.0, -6.0), (1, 4, 4), (2, 4, 12))
    assert Choices().summarise(Choices().measure(row)) == found


def test_classes_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, f1_score, log_loss, matthews_corrcoef

    chances = [(0.7, 0.2, 0.1), (0.3, 0.6, 0.1), (0.1, 0.2, 0.7), (0.5, 0.3, 0.2), (0.2, 0.5, 0.3)]
    actual = [0, 1, 2, 1, 2]
    rows = [Classes().measure(Classified(*each)) for each in zip(actual, chances, strict=True)]
    found = Classes().summarise(total(rows))
    taken = [max(range(3), key=each.__getitem__) for each in chances]
    assert found["accuracy"] == pytest.approx(accuracy_score(actual, taken))
    assert found["f1_macro"] == pytest.approx(f1_score(actual, taken, average="macro"))
    assert found["mcc"] == pytest.approx(matthews_corrcoef(actual, taken))
    assert found["log_loss"] == pytest.approx(log_loss(actual, chances))


def test_a_class_held_impossible_costs_no_infinity() -> None:
    row = Classes().measure(Classified(1, (1.0, 0.0)))
    assert 80 < row["log_loss"] < 90
