"""Which classes labels speak of, and which number each has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.rows.classes import Classes
from lorafw.data.rows.row_kinds import NamedLabel
from lorafw.errors import DataError
from lorafw.types import LabeledExample


def number(classes: Classes, label: str | int) -> int:
    return classes.numbered(NamedLabel("a", "b", label)).label


@given(st.lists(st.text(min_size=1), min_size=1), st.randoms())
def test_names_have_one_order_whatever_the_order_of_rows(labels: list[str], chance: object) -> None:
    classes = Classes.of(labels)
    chance.shuffle(labels)  # type: ignore[attr-defined]
    assert Classes.of(labels) == classes
    assert set(classes.names) == set(labels)
    assert [number(classes, name) for name in classes.names] == list(range(len(set(labels))))


@given(st.lists(st.integers(0, 30), min_size=1))
def test_numbers_count_from_zero_to_the_highest(labels: list[int]) -> None:
    classes = Classes.of(labels)
    assert len(classes.names) == max(labels) + 1
    assert [number(classes, label) for label in labels] == labels


def test_names_that_are_numbers_are_in_their_order() -> None:
    assert Classes.of(["10", "9", "1"]).names == ("1", "9", "10")
    assert Classes.of(["10", "9", "b"]).names == ("10", "9", "b")


def test_texts_are_kept() -> None:
    row = Classes(("no", "yes")).numbered(NamedLabel("a", "b", "yes"))
    assert row == LabeledExample("a", "b", 1)


def test_numbers_and_names_together_are_an_error() -> None:
    with pytest.raises(DataError, match=r"some labels are numbers \(3\), others are texts \('x'\)"):
        Classes.of([4, "x", 3, "y"])


def test_a_given_order_counts() -> None:
    classes = Classes(("positive", "negative"))
    assert [number(classes, label) for label in ("negative", 1, "1", 0)] == [1, 1, 1, 0]


@pytest.mark.parametrize("label", ["0", 0, "4", 4])
def test_a_class_called_by_a_number_is_not_found_by_its_place(label: str | int) -> None:
    stars = Classes.of(["3", "1", "2"])
    assert [number(stars, name) for name in ("1", 1, "3", 3)] == [0, 0, 2, 2]
    with pytest.raises(DataError, match=f"no class.*{label}"):
        number(stars, label)


@pytest.mark.parametrize(
    ("label", "fault"),
    [
        (2, "no class number 2. Known: positive, negative; dataset.classes"),
        (-1, "no class number -1"),
        ("2", "no class number 2"),
        ("negativ", "no class 'negativ'. Did you mean 'negative'"),
        ("other", "no class 'other'. Known: positive, negative"),
        ("²", "no class '²'"),
    ],
)
def test_what_is_no_class_is_an_error(label: str | int, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        number(Classes(("positive", "negative")), label)
