from __future__ import annotations

import pytest

from lorafw.assembly.registry import Registry
from lorafw.contracts import LoRAInjector, TrainPlan
from lorafw.testing.toy_injector import ToyInjector
from lorafw.types import Capability
from lorafw.verification.randomness import settled_injector, settled_model, what_stays


def peft(**options: object) -> LoRAInjector:
    kind = Registry().load("injector", "peft")
    found = kind.from_mapping(options, where="injector")
    assert isinstance(found, LoRAInjector)
    return found


def test_dropout_is_switched_off_and_named() -> None:
    settled, (sentence,) = settled_injector(ToyInjector(r=3, dropout=0.1))
    assert settled == ToyInjector(r=3)
    assert sentence.startswith("injector.dropout")


def test_nothing_is_said_of_what_is_not_random() -> None:
    assert settled_injector(ToyInjector(r=3)) == (ToyInjector(r=3), [])


def test_dropouts_inside_options_of_a_method_are_switched_off() -> None:
    injector = peft(method="vera", method_options={"vera_dropout": 0.5, "r": 4})
    settled, told = settled_injector(injector)
    assert settled.model_dump()["method_options"] == {"vera_dropout": 0.0, "r": 4}
    assert Capability.SPLIT_DEPENDENT not in settled.capabilities
    assert len(told) == 1


def test_what_no_option_switches_off_is_still_declared() -> None:
    settled, told = settled_injector(peft(method="pvera"))
    assert Capability.SPLIT_DEPENDENT in settled.capabilities
    assert "no option" in told[-1]


@pytest.mark.parametrize(("model", "off"), [("minimind", True), ("llama", False)])
def test_the_routers_loss_is_switched_off_where_there_is_one(model: str, off: bool) -> None:
    kind = Registry().load("model", model)
    builder = kind.from_mapping({"path": "anywhere"}, where="model")
    settled, (sentence,) = settled_model(builder)  # type: ignore[arg-type]
    assert settled.model_dump().get("aux_loss_coef") == (0.0 if off else None)
    assert ("0 here" in sentence) is off


def test_the_noise_of_neftune_stays() -> None:
    assert what_stays(TrainPlan()) == []
    assert "hash" in what_stays(TrainPlan(neftune_alpha=5.0))[0]
