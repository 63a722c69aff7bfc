"""A row as it is trained and as it is asked."""

from __future__ import annotations

from lorafw.data.rendering.row import Laid, Row
from lorafw.data.rendering.segments import Part
from lorafw.types import IGNORE_INDEX, Encoded

GIVEN = Laid([5], Part.TEXT)
SAID = Laid([6, 7], Part.ANSWER, trained=True)


def test_a_row_is_encoded_with_its_cut() -> None:
    row = Row([GIVEN], [SAID], cut=4)
    assert len(row) == 3
    assert row.encoded() == Encoded([5, 6, 7], [IGNORE_INDEX, 6, 7], 4)
    assert row.prompt() == Encoded([5], [IGNORE_INDEX], 4)


def test_a_trained_context_is_not_trained_in_a_prompt() -> None:
    row = Row([Laid([5], Part.TEXT, trained=True)], [SAID])
    assert row.encoded() == Encoded([5, 6, 7], [5, 6, 7])
    assert row.prompt() == Encoded([5], [IGNORE_INDEX])


def test_a_row_whose_only_label_is_never_predicted_is_none() -> None:
    assert Row([], [Laid([5], Part.ANSWER, trained=True)]).encoded() is None
    assert Row([Laid([5], Part.TEXT, trained=True)], [Laid([6], Part.ANSWER)]).encoded() is None
