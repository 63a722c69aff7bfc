"""Held-out rows are a function of content alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.rows.split import content_hash, lowest, split_by_content
from lorafw.types import ChatExample, Example, Message, PromptExample, ToolCall

FRACTION = 0.4
UNLIMITED = 10**9
HASH = 1696721382599476508
"""Of a conversation, from before messages had calls."""
examples = st.lists(st.builds(PromptExample, st.text(max_size=3), st.text(max_size=2)), max_size=40)
# A row that is never held out, so that "something is left to train" moves no other row.
ANCHOR = next(
    row
    for row in (PromptExample(f"anchor {at}", "") for at in range(100))
    if content_hash(row) > 0.9 * 2**64
)


@given(examples)
def test_every_row_is_on_exactly_one_side_in_its_order(rows: list[PromptExample]) -> None:
    train, held_out = split_by_content(rows, FRACTION, UNLIMITED)
    assert train == [row for row in rows if row not in held_out]
    assert held_out == [row for row in rows if row not in train]
    assert bool(train) == bool(rows)


@given(examples, examples, st.randoms())
def test_more_rows_in_any_order_move_none_across(
    rows: list[PromptExample], more: list[PromptExample], chance: object
) -> None:
    _, before = split_by_content([ANCHOR, *rows], FRACTION, UNLIMITED)
    longer = [*more, *rows, ANCHOR]
    chance.shuffle(longer)  # type: ignore[attr-defined]
    _, after = split_by_content(longer, FRACTION, UNLIMITED)
    assert set(after) & set(rows) == set(before)


@given(examples, st.integers(0, 5))
def test_the_limit_keeps_the_lowest_hashes(rows: list[PromptExample], limit: int) -> None:
    _, all_held_out = split_by_content([*rows, ANCHOR], FRACTION, UNLIMITED)
    train, held_out = split_by_content([*rows, ANCHOR], FRACTION, limit)
    assert len(held_out) <= limit
    assert not set(train) & set(held_out)
    back = {content_hash(row) for row in all_held_out} - {content_hash(row) for row in held_out}
    assert all(content_hash(row) < value for row in held_out for value in back)


@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.5])
def test_the_share_is_about_the_fraction(fraction: float) -> None:
    rows = [PromptExample(str(at), "r") for at in range(4000)]
    _, held_out = split_by_content(rows, fraction, UNLIMITED)
    assert len(held_out) == pytest.approx(4000 * fraction, abs=100)


@given(examples, st.integers(0, 50))
def test_lowest_takes_rows_in_their_order(rows: list[PromptExample], limit: int) -> None:
    taken = lowest(rows, limit)
    assert len(taken) == min(limit, len(rows))
    assert sorted(map(content_hash, taken)) == sorted(map(content_hash, rows))[:limit]
    remaining: Iterator[Example] = iter(rows)
    assert all(row in remaining for row in taken)


def test_the_hash_knows_kinds_and_fields_apart() -> None:
    @dataclass(frozen=True, slots=True)
    class Other(Example):
        prompt: str
        response: str

    chats = [ChatExample((Message("user", "ab", train),)) for train in (None, True, False)]
    different = [PromptExample("a", "b"), PromptExample("ab", ""), Other("a", "b"), *chats]
    assert len({content_hash(example) for example in different}) == len(different)


def test_the_hash_never_changes() -> None:
    # A changed hash would move rows of every user's data set from one side to the other.
    assert content_hash(PromptExample("Who are you?", "我是")) == 18193451046516519084
    turns = (Message("user", "Who?"), Message("assistant", "Me.", train=True))
    assert content_hash(ChatExample(turns)) == 2384623860726267673


def test_a_field_added_later_changes_the_hash_only_where_it_says_something() -> None:
    @dataclass(frozen=True, slots=True)
    class PromptExample2(PromptExample):
        later: str = ""

    PromptExample2.__name__ = PromptExample.__name__
    plain = content_hash(PromptExample("q", "r"))
    assert content_hash(PromptExample2("q", "r")) == plain
    assert content_hash(PromptExample2("q", "r", later="x")) != plain
    assert content_hash(PromptExample("q", "r", input="x")) != plain


def test_what_was_added_to_messages_moved_no_row() -> None:
    turns = (Message("user", "ab"), Message("assistant", "c", True))
    assert content_hash(ChatExample(turns)) == HASH
    calls = [(), (ToolCall("f"),), (ToolCall("f", '{"a": 1}'),), (ToolCall("f", id="1"),)]
    chats = [ChatExample((Message("assistant", "", None, each),)) for each in calls]
    answers = [ChatExample((Message("tool", "", name=name),)) for name in ("", "f")]
    assert len({content_hash(example) for example in (*chats, *answers)}) == 6
