"""A run that changes a frozen weight of its base ends with an error that names it."""

from __future__ import annotations

import pytest
import torch
from tests.unit.training.faulty_engines import Careless
from tests.unit.training.on_engine import trained

from lorafw.errors import TrainingError
from lorafw.testing.toy_training import toy_model
from lorafw.training.guards.frozen import FrozenGuard


def test_one_bit_of_a_frozen_weight_ends_the_run() -> None:
    with pytest.raises(TrainingError, match=r"frozen: model\.norm\.weight\."):
        trained(Careless)


def test_what_an_adapter_changes_itself_it_leaves_out() -> None:
    model = toy_model()
    assert "model.norm.weight" in model.frozen()
    assert not any(parameter.requires_grad for parameter in model.frozen().values())
    kept = {name: p for name, p in model.frozen().items() if name != "model.norm.weight"}
    model.frozen = lambda: kept  # type: ignore[method-assign]
    assert trained(Careless, model=model).result.steps == 5


def test_weights_without_values_are_passed_over() -> None:
    model = toy_model()
    model.frozen = lambda: {"meta": torch.empty(3, device="meta")}  # type: ignore[method-assign]
    FrozenGuard(model, engine=None).check()  # type: ignore[arg-type]
