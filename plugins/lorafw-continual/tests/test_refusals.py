"""What cannot work is refused by its options alone, before data and weights are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorafw.assembly.registry import Registry
from lorafw.builtin.causal_lm import CausalLM
from lorafw.builtin.classification import Classification
from lorafw.contracts import Company, Scenario, TrainPlan
from lorafw.errors import CompositionError, ConfigError
from lorafw.testing.toy_injector import ToyInjector
from lorafw.types import Capability
from lorafw_continual.adapter_per_task import AdapterPerTask
from lorafw_continual.l2p import L2P
from lorafw_continual.replay import Replay
from lorafw_peft.injector import PeftInjector

TASKS = ("first", "second", "third")
SCENARIOS = [
    entry.name
    for entry in Registry().entries("scenario")
    if entry.distribution == "lorafw-continual"
]


PAGE = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_a_scenario_needs_is_in_its_section_of_the_readme(name: str) -> None:
    section, table = _behind(f"### `{name}`\n"), _behind("## What they need\n")
    (row,) = [row for row in table.splitlines() if f"`{name}`" in row and row.startswith("|")]
    wanted = set(_scenario(name).requires)
    if name == "adapter-per-task":
        wanted |= AdapterPerTask(router="similarity").requires
    for text in (section, row):
        assert {each for each in Capability if f"`{each.value}`" in text} == wanted


def _behind(heading: str) -> str:
    """The page between a heading and the next one."""
    _, behind = PAGE.split(heading)
    return behind.split("\n##")[0]


def _company(**others: Any) -> Company:
    usual = {"injector": ToyInjector(r=6), "objective": CausalLM(), "plan": _plan()}
    return Company(**{**usual, "tasks": TASKS, **others})


def _plan(weight_decay: float = 0.0) -> TrainPlan:
    return TrainPlan(weight_decay=weight_decay)


def _scenario(name: str) -> Scenario:
    scenario = Registry().load("scenario", name)()
    assert isinstance(scenario, Scenario)
    return scenario


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_task_has_the_name_of_the_stage_before_all(name: str) -> None:
    with pytest.raises(ConfigError, match="no task can be called 'before'"):
        _scenario(name).check(_company(tasks=("before", "second", "third")))


@pytest.mark.parametrize("name", ["lwf", "lfpt5"])
def test_distributions_of_tokens_need_tokens(name: str) -> None:
    _scenario(name).check(_company())
    with pytest.raises(CompositionError, match="these rows have classes"):
        _scenario(name).check(_company(objective=Classification()))


@pytest.mark.parametrize(
    ("options", "tasks", "fault"),
    [
        ({"general": "frist"}, TASKS, r"general: no task is called 'frist'\. Did you mean 'first'"),
        ({"general": "lima"}, TASKS, r"no task is called 'lima'\. Known: first, second, third\."),
        ({"general_rows": 3}, TASKS, r"general: is not set, and general_rows is"),
        ({"general": "first"}, ("first",), r"there is no other task"),
    ],
)
def test_general_data_is_one_of_the_tasks(
    options: dict[str, Any], tasks: tuple[str, ...], fault: str
) -> None:
    scenario = Replay.from_mapping(options, where="scenario")
    with pytest.raises(ConfigError, match=fault):
        scenario.check(_company(tasks=tasks))


def test_o_lora_shares_a_rank_that_can_be_shared() -> None:
    _scenario("o-lora").check(_company())
    with pytest.raises(CompositionError, match=r"4 tasks cannot share.*rank 6.*multiple of 4"):
        _scenario("o-lora").check(_company(tasks=(*TASKS, "fourth")))
    with pytest.raises(CompositionError, match=r"of rank 4.*multiple of 3"):
        _scenario("o-lora").check(_company(injector=ToyInjector(r=6, rank_pattern={"q": 4})))


def test_o_lora_needs_plain_factors() -> None:
    with pytest.raises(CompositionError, match="needs plain LoRA factors"):
        _scenario("o-lora").check(_company(injector=ToyInjector(r=6, use_dora=True)))


def test_a_replay_has_no_tasks_name() -> None:
    tasks = ("first", "first.replay")
    _scenario("replay").check(_company(tasks=tasks))
    after = Registry().load("scenario", "replay").model_validate({"after": True})
    assert isinstance(after, Scenario)
    with pytest.raises(ConfigError, match=r"no task can be called 'first\.replay'"):
        after.check(_company(tasks=tasks))


def test_o_lora_lets_nothing_decay() -> None:
    with pytest.raises(CompositionError, match=r"plan\.weight_decay.*Set it to 0"):
        _scenario("o-lora").check(_company(plan=_plan(0.1)))


def _prompts(count: int) -> PeftInjector:
    return PeftInjector(method="prompt_tuning", method_options={"num_virtual_tokens": count})


def test_tasks_share_virtual_tokens_that_can_be_shared() -> None:
    _scenario("progressive-prompts").check(_company(injector=_prompts(6)))
    with pytest.raises(CompositionError, match=r"3 tasks cannot share 7.*such as 9"):
        _scenario("progressive-prompts").check(_company(injector=_prompts(7)))


def test_earlier_prompts_do_not_decay() -> None:
    with pytest.raises(CompositionError, match=r"plan\.weight_decay.*Set it to 0"):
        _scenario("progressive-prompts").check(_company(injector=_prompts(6), plan=_plan(0.1)))


def test_a_pool_has_a_key_for_each_prompt() -> None:
    _scenario("l2p").check(_company(injector=_prompts(60)))
    with pytest.raises(CompositionError, match=r"takes 60 virtual tokens, not 20.*tokens: 60"):
        _scenario("l2p").check(_company(injector=PeftInjector(method="prompt_tuning")))
    with pytest.raises(ConfigError, match=r"scenario\.top_n: 5 of 3.*At most 3"):
        L2P(pool_size=3).check(_company(injector=_prompts(18)))


def test_prompts_are_trained_without_a_head() -> None:
    with pytest.raises(CompositionError, match="classes need a trained head"):
        _scenario("progressive-prompts").check(
            _company(injector=_prompts(6), objective=Classification())
        )


def test_a_pool_is_chosen_from_by_prompts_of_rows() -> None:
    with pytest.raises(CompositionError, match="these rows have classes"):
        _scenario("l2p").check(_company(injector=_prompts(60), objective=Classification()))
