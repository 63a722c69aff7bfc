from __future__ import annotations

import json
import math

import pytest

from lorafw.verification.comparison import skipped
from lorafw.verification.limits import Limit
from lorafw.verification.report import Report, Row, Verdict


def report(*verdicts: Verdict) -> Report:
    rows = [
        Row("ddp", 1, "custom", "padded", 1, {"adapter": 10.0**-n}, verdict)
        for n, verdict in enumerate(verdicts)
    ]
    return Report("ddp", "fp32", 3, rows, {"adapter": Limit(5e-6, "fp32")}, ["dropout"])


@pytest.mark.parametrize(
    ("verdicts", "holds"),
    [
        (("holds", "skipped"), True),
        (("holds", "differs"), False),
        (("holds", "failed"), False),
        (("skipped",), False),
        ((), False),
    ],
)
def test_it_holds_if_something_does_and_nothing_does_not(
    verdicts: tuple[Verdict, ...], holds: bool
) -> None:
    assert report(*verdicts).holds is holds


def test_the_largest_difference() -> None:
    assert report("holds", "holds").largest() == {"adapter": 1.0}
    assert report().largest() == {"adapter": None}


def test_json_has_no_infinite_numbers() -> None:
    wild = Row("ddp", 2, "custom", "padded", 1, {"adapter": math.inf}, "differs")
    values = Report("ddp", "fp32", 3, [wild, skipped("x", "why")], {}).as_json()
    text = json.dumps(values, allow_nan=False)
    assert json.loads(text)["rows"][0]["differences"] == {"adapter": "inf"}
    assert values["rows"][1]["reason"] == "why"
    assert values["holds"] is False
