"""What a scenario asks for, the run has, or it is refused with what would help."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from lorafw.assembly.compose import compose
from lorafw.assembly.config import RunConfig
from lorafw.assembly.registry import Registry
from lorafw.contracts import Company
from lorafw.errors import CompositionError
from lorafw.types import Capability

TASKS = [{"name": "a", "dataset": "toy"}]
BASE: dict[str, Any] = {
    "model": {"use": "toy", "path": "base"},
    "injector": "toy",
    "trainer": "toy",
    "objective": "toy",
    "exporters": ["toy"],
    "tasks": TASKS,
}


def fit(registry: Registry, *needs: str, **sections: Any) -> None:
    scenario = {"use": "toy", "needs": needs}
    config = {**BASE, "scenario": scenario, **sections}
    compose(RunConfig.from_mapping(config, registry), registry)


def reason(registry: Registry, *needs: str, **sections: Any) -> str:
    with pytest.raises(CompositionError) as caught:
        fit(registry, *needs, **sections)
    return str(caught.value)


def test_nothing_asked_for_is_nothing_refused(registry: Registry) -> None:
    fit(registry)
    fit(registry, "whole-parameters")
    fit(registry, "disable", injector={"use": "toy", "can": ["disable"]})


def test_a_scenario_for_tasks_needs_some(registry: Registry) -> None:
    config = {**BASE, "dataset": "toy", "scenario": "toy"}
    del config["tasks"]
    with pytest.raises(CompositionError, match="is for a run with tasks"):
        compose(RunConfig.from_mapping(config, registry), registry)


def test_those_that_take_tasks_are_named(registry: Registry) -> None:
    told = reason(registry, scenario="single")
    assert told.startswith("scenario: scenario 'single' takes no tasks, and the run has some.")
    assert "toy" in told.partition("--scenario ")[2].split(" | ")
    assert "single" not in told.partition("--scenario ")[2].split(" | ")


def test_a_scenario_may_refuse_the_others_by_itself(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def check(_: object, company: Company) -> None:
        seen.append(company)
        raise CompositionError("shrinks.", where="plan.weight_decay", mend="Set it to 0.")

    fit(registry)
    monkeypatch.setattr(sys.modules["toy_parts"].ToyScenario, "check", check)
    assert reason(registry) == "plan.weight_decay: shrinks. Set it to 0."
    assert list(seen[0].tasks) == ["a"]
    assert type(seen[0].injector).__name__ == "ToyInjector"


def test_the_trainers_option_that_would_help_is_named(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(registry)
    kind = sys.modules["toy_parts"].ToyTrainer
    monkeypatch.setattr(kind, "variants", lambda self: [kind(whole=w) for w in (True, False)])
    cannot = {"use": "toy", "whole": False, "timeout": 5.0}
    can = {"use": "toy", "can": ["shardable"]}
    told = reason(registry, "whole-parameters", trainer=cannot, injector=can)
    assert told.startswith(
        "scenario: scenario 'toy' requires whole-parameters, which neither trainer 'toy' nor "
        "injector 'toy' offers with these options. Set trainer.whole: true; Choose another "
        "trainer: --trainer "
    )
    assert "other" in told.partition("--trainer ")[2].rstrip(".").split(" | ")


def test_an_injector_that_would_help_is_named(registry: Registry) -> None:
    told = reason(registry, "disable")
    assert "requires disable, which neither" in told
    assert "full" in told.partition("--injector ")[2].rstrip(".").split(" | ")
    assert "Set trainer" not in told


def test_an_injectors_option_that_would_help_is_named(registry: Registry) -> None:
    pytest.importorskip("lorafw_peft")
    told = reason(registry, "chosen-prompts")
    assert "--injector peft -o injector.method=prompt_tuning." in told
    told = reason(registry, "chosen-prompts", injector={"use": "peft"})
    assert told.endswith("Set injector.method: prompt_tuning.")


def test_what_two_parts_would_give_is_told_one_by_one(registry: Registry) -> None:
    pytest.importorskip("lorafw_peft")
    cannot = {"use": "toy", "whole": False, "timeout": 5.0}
    can = {"use": "toy", "can": ["shardable"]}
    told = reason(registry, "chosen-prompts", "whole-parameters", trainer=cannot, injector=can)
    assert "--injector peft -o injector.method=prompt_tuning; Choose another trainer: " in told


def test_what_nobody_offers_is_told_as_such(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "names", lambda _self, _kind: ("toy",))
    assert reason(registry, "segments").endswith(
        "Choose another scenario: no trainer or injector that is installed offers this."
    )


def test_a_model_may_bar_it(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(registry)
    barred = frozenset({Capability.MERGEABLE})
    monkeypatch.setattr(sys.modules["toy_parts"].ToyModel, "rules_out", barred)
    can = {"use": "toy", "can": ["mergeable"]}
    assert reason(registry, "mergeable", injector=can) == (
        "scenario: scenario 'toy' requires mergeable, which model 'toy' does not allow with these "
        "options."
    )


def test_deepspeeds_stages_are_named(registry: Registry) -> None:
    pytest.importorskip("lorafw_deepspeed")
    can = {"use": "toy", "can": ["shardable"]}
    stage = {"use": "deepspeed", "zero_stage": 3}
    told = reason(registry, "whole-parameters", trainer=stage, injector=can)
    assert "Set trainer.zero_stage: 0 or 1 or 2;" in told
