from __future__ import annotations

import math

import pytest

from lorafw.verification.limits import FLOORS, MARGIN, Limit, judged, limits

STILL: dict[str, float | None] = dict.fromkeys((*FLOORS, "held_out_loss"), 0.0)


def test_fp32_allows_what_it_allows() -> None:
    found = limits("fp32", [STILL], moved=1.0)
    assert {what: limit.value for what, limit in found.items()} == FLOORS


def test_what_was_measured_counts_where_it_is_more() -> None:
    found = limits("fp32", [STILL, {**STILL, "gradient": 1e-3}], moved=1.0)
    assert found["gradient"].value == MARGIN * 1e-3
    assert "measured" in found["gradient"].source
    assert found["loss"].value == FLOORS["loss"]


def test_an_adapter_that_hardly_moved_has_to_be_nearer() -> None:
    assert limits("fp32", [STILL], moved=1e-5)["adapter"].value == pytest.approx(2e-7)
    assert limits("fp32", [STILL], moved=0.0)["adapter"].value == FLOORS["adapter"]


def test_other_dtypes_are_not_judged_by_the_adapter_nor_by_classes() -> None:
    found = limits("bf16", [{**STILL, "figures": 1.0, "held_out_loss": 1e-2}], moved=1.0)
    assert found["adapter"].holds(math.inf)
    assert found["figures"].value == MARGIN * 1e-2
    assert judged("figures", "bf16") == "held_out_loss"
    assert judged("figures", "fp32") == "figures"


def test_what_is_no_number_does_not_hold() -> None:
    assert not Limit(1.0, "").holds(math.inf)
    assert Limit(1.0, "").holds(None)
