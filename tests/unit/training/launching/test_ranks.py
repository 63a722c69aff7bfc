"""Ranks that make sense, and those that do not."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.errors import UsageError
from lorafw.training.launching.ranks import Ranks, parse_nodes


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("gpu1:1234", ("gpu1", 1234)),
        ("gpu1", ("gpu1", 29500)),
        ("[fd00::1]:1234", ("fd00::1", 1234)),
        ("[fd00::1]", ("fd00::1", 29500)),
    ],
)
def test_where_nodes_meet(endpoint: str, address: tuple[str, int]) -> None:
    assert Ranks(nodes=2, endpoint=endpoint).address == address


def test_one_node_meets_anywhere() -> None:
    assert Ranks(2).address == ("127.0.0.1", 0)


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"nodes": 2}, "--rdzv-endpoint"),
        ({"nodes": 2, "endpoint": "a:b"}, "--rdzv-endpoint"),
        ({"nodes": 2, "endpoint": "a:99999"}, "--rdzv-endpoint"),
        ({"nodes": 2, "endpoint": "a", "node": 2}, "--node-rank"),
        ({"nodes": 2, "endpoint": "a", "min_nodes": 3}, "--nnodes"),
        ({"nproc": 2, "min_nproc": 3}, "--min-nproc"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], where: str) -> None:
    with pytest.raises(UsageError) as found:
        Ranks(**options)
    assert found.value.where == where


@pytest.mark.parametrize(
    ("options", "watched"),
    [({}, False), ({"nproc": 2}, True), ({"max_restarts": 1}, True)],
)
def test_who_needs_a_launcher(options: dict[str, Any], watched: bool) -> None:
    assert Ranks(**options).watched is watched


def test_numbers_of_nodes() -> None:
    assert parse_nodes("3") == (3, 3)
    assert parse_nodes("2:4") == (2, 4)
    for text in ("", "a", "2:", ":2", "1:2:3"):
        with pytest.raises(UsageError):
            parse_nodes(text)
