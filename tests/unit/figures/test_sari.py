"""SARI against its published values, and at its ends."""

from __future__ import annotations

import pytest

from lorafw.figures.sari import sari

SOURCE = ["About", "95", "species", "are", "currently", "accepted", "."]
REFERENCES = [
    ["About", "95", "species", "are", "currently", "known", "."],
    ["About", "95", "species", "are", "now", "accepted", "."],
    ["95", "species", "are", "now", "accepted", "."],
]


@pytest.mark.parametrize(
    ("answer", "published"),
    [  # the sentences of Xu et al. 2016 with the values of tensor2tensor's tests
        ("About 95 you now get in .", 0.2695360),
        ("About 95 species are now agreed .", 0.6170966),
        ("About 95 species are currently agreed .", 0.5088682),
    ],
)
def test_published_values(answer: str, published: float) -> None:
    assert sari(SOURCE, answer.split(), REFERENCES) == pytest.approx(published, abs=5e-8)


def test_the_reference_itself_is_perfect() -> None:
    assert sari(SOURCE, REFERENCES[0], REFERENCES[:1]) == 1.0


def test_a_copy_of_the_source_adds_nothing() -> None:
    copied = sari(["a", "b", "c"], ["a", "b", "c"], [["a", "d"]])
    assert copied == pytest.approx(((1 / 2 + 0 + 0 + 1) + (0 + 0 + 1 + 1) + 4) / 12)


def test_an_empty_answer_keeps_and_adds_nothing() -> None:
    kept, deleted, added = (0 + 0 + 1 + 1), (0 + 0 + 1 + 1), (0 + 0 + 0 + 1)
    found = sari(["a", "b"], [], [["a", "b", "c"]])
    assert found == pytest.approx((kept + deleted + added) / 12)
