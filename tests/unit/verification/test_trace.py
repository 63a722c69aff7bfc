from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lorafw.errors import TrainingError
from lorafw.verification._trace import Trace, differences

TRACE = Trace(
    losses=[4.0, 0.5],
    gradients={"a": torch.tensor([3.0, 4.0]), "b": torch.tensor([1e-9, 0.0])},
    values={"a": torch.tensor([1.0, 2.0])},
    figures={"before loss": 2.0, "after accuracy": 0.5, "after loss": 1.0},
)


def test_the_same_is_no_way_off() -> None:
    assert set(differences(TRACE, TRACE).values()) == {0.0}


def test_each_difference_is_the_largest_of_its_kind() -> None:
    other = replace(
        TRACE,
        losses=[4.4, 0.55],
        gradients={"a": torch.tensor([3.0, 4.5]), "b": torch.tensor([1e-9, 1e-9])},
        values={"a": torch.tensor([1.0, 2.25])},
        figures={"before loss": 2.2, "after accuracy": 0.75, "after loss": 1.0},
    )
    found = differences(other, TRACE)
    assert found["adapter"] == 0.25
    assert found["gradient"] == pytest.approx(0.1)  # and not that of b, which is faint
    assert found["loss"] == pytest.approx(0.1)
    assert found["figures"] == pytest.approx(0.25)
    assert found["held_out_loss"] == pytest.approx(0.1)


def test_what_is_not_a_number_is_as_far_off_as_can_be() -> None:
    found = differences(replace(TRACE, losses=[math.nan, 0.5]), TRACE)
    assert found["loss"] == math.inf


def test_gradients_that_are_not_shown_are_not_compared() -> None:
    assert differences(replace(TRACE, gradients={}), TRACE)["gradient"] is None


def test_another_adapter_is_a_fault() -> None:
    with pytest.raises(TrainingError, match="c is there on one side only"):
        differences(replace(TRACE, values={**TRACE.values, "c": torch.zeros(1)}), TRACE)


def test_it_comes_back_from_a_folder(tmp_path: Path) -> None:
    TRACE.save(tmp_path)
    found = Trace.load(tmp_path)
    assert set(differences(found, TRACE).values()) == {0.0}
