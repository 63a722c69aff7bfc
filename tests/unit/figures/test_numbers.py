from __future__ import annotations

from decimal import Decimal

import pytest

from lorafw.figures.numbers import last_number, marked_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so 5 + 3 = 8\n#### 8", "8"),
        ("#### $1,200.00 dollars", "1200"),
        ("#### -7 and 9", "-7"),
        ("#### 1\n#### 2", "2"),
        ("####.5", "0.5"),
    ],
)
def test_the_number_behind_the_mark(text: str, number: str) -> None:
    assert marked_number(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "8", "#### none", "### 8"])
def test_no_number_behind_a_mark(text: str) -> None:
    assert marked_number(text) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("It costs $18.", "18"),
        ("from 1,200 to 3,000,000 people", "3000000"),
        ("1, 2, 3", "3"),
        ("1,2,3", "3"),
        ("it is -4.50!", "-4.5"),
        ("16-3", "3"),
        ("she has 12 apples, that is all", "12"),
    ],
)
def test_the_last_number(text: str, number: str) -> None:
    assert last_number(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "none", "-", "."])
def test_no_number(text: str) -> None:
    assert last_number(text) is None
