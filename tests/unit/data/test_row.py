"""A row as it is trained and as it is asked."""

from __future__ import annotations

from lorafw.data.row import Row
from lorafw.types import IGNORE_INDEX, Encoded


def test_a_row_is_encoded_with_its_cut() -> None:
    row = Row([5, 6, 7], [IGNORE_INDEX, 6, 7], answer=1, cut=4)
    assert row.encoded() == Encoded([5, 6, 7], [IGNORE_INDEX, 6, 7], 4)
    assert row.prompt() == Encoded([5], [IGNORE_INDEX], 4)


def test_a_row_whose_only_label_is_never_predicted_is_none() -> None:
    assert Row([5], [5], answer=0).encoded() is None
    assert Row([5, 6], [5, IGNORE_INDEX], answer=0).encoded() is None
