"""Configs of two nodes, compared by digests."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.errors import ConfigError
from lorafw.training.launching.agreement import check_same, digests


def _values(**changes: Any) -> dict[str, Any]:
    return {
        "run": {"output": "here", "seed": 0},
        "injector": {"use": "custom", "r": 8, "targets": ["q", "v"]},
        "versions": {"python": "3.11.1", "torch": "2.13"},
        **changes,
    }


def test_the_folder_may_differ_and_so_may_pythons_patch_level() -> None:
    other = _values(run={"output": "there", "seed": 0})
    other["versions"] = {"python": "3.11.9", "torch": "2.13"}
    check_same(digests(_values()), digests(other), 1)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"run": {"output": "here", "seed": 1}}, "run.seed"),
        ({"injector": {"use": "custom", "r": 4, "targets": ["q", "v"]}}, "injector.r"),
        ({"injector": {"use": "custom", "r": 8, "targets": ["v", "q"]}}, "injector.targets"),
        ({"versions": {"torch": "2.12"}}, "versions.torch"),
        ({"plan": {"epochs": 2}}, "plan.epochs"),
    ],
)
def test_what_differs_is_named(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match="another config than rank 0: ") as found:
        check_same(digests(_values(**changes)), digests(_values()), 3)
    assert str(found.value).count(key) == 1
    assert "rank 3" in str(found.value)


def test_values_do_not_travel() -> None:
    assert "custom" not in str(digests(_values()))
