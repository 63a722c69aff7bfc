from __future__ import annotations

from lorafw_glm._merges import merges_of


def test_lower_ranks_merge_earlier() -> None:
    ranks = {"a": 9.0, "b": 9.0, "c": 9.0, "bc": 1.0, "ab": 2.0}
    assert merges_of(ranks) == [("b", "c"), ("a", "b")]


def test_only_what_two_pieces_make_is_a_merge() -> None:
    assert merges_of({"a": 0.0, "b": 0.0, "abc": 1.0}) == []


def test_the_left_of_two_overlapping_pairs_merges_first() -> None:
    # In ab·a·ba the pairs ab·a and a·ba both make aba.
    ranks = {"a": 9, "ab": 1, "ba": 1, "aba": 2}
    assert merges_of(ranks)[-2:] == [("ab", "a"), ("a", "ba")]


def test_bytes_are_taken_too() -> None:
    assert merges_of({b"a": 0, b"b": 1, b"ab": 2}) == [(b"a", b"b")]
