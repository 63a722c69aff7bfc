"""What a scenario promises: legal calls, and the same ones every time."""

from __future__ import annotations

from lorafw.contracts import Company, Scenario, TrainPlan
from lorafw.errors import CompositionError, ConfigError
from lorafw.testing.component import ComponentContract
from lorafw.testing.promise import NotPromised
from lorafw.testing.recording_session import RecordingSession


class ScenarioContract(ComponentContract, kind="scenario"):
    """Promises of a `Scenario`; the fixture is called `scenario`."""

    def test_it_fits_before_it_exports(self, scenario: Scenario) -> None:
        kinds = [call[0] for call in _calls(scenario)]
        assert "fit" in kinds, "it never trains"
        assert "export" not in kinds[: kinds.index("fit")], (
            f"it exports an untrained model: {kinds}"
        )

    def test_what_it_refuses_it_refuses_with_a_mend(self, scenario: Scenario) -> None:
        from lorafw.builtin.causal_lm import CausalLM
        from lorafw.testing.toy_injector import ToyInjector

        tasks = [task.name for task in RecordingSession(several=scenario.takes_tasks).tasks]
        try:
            scenario.check(Company(ToyInjector(), CausalLM(), TrainPlan(), tasks))
        except (CompositionError, ConfigError) as refusal:
            assert refusal.mend, f"it does not say how to mend it: {refusal}"

    def test_every_stage_has_a_name_of_its_own(self, scenario: Scenario) -> None:
        stages = [call[1] for call in _calls(scenario) if call[0] == "fit"]
        assert all(stages), "a stage has an empty name"
        assert len(set(stages)) == len(stages), f"stages share a name, so none can resume: {stages}"

    def test_whatever_is_remembered_has_a_name_of_its_own(self, scenario: Scenario) -> None:
        named = [call for call in _calls(scenario) if call[0] in ("once", "score", "draw")]
        twice = sorted({call for call in named if named.count(call) > 1})
        assert not twice, f"asked for twice under one name: {twice}"

    def test_it_sees_every_task(self, scenario: Scenario) -> None:
        if not scenario.takes_tasks:
            raise NotPromised("it is for one data set")
        scored = {call[2] for call in _calls(scenario) if call[0] == "score"}
        names = {task.name for task in RecordingSession(several=True).tasks}
        assert scored in (set(), names), f"of {sorted(names)} it scores {sorted(scored)} only"

    def test_run_again_it_makes_the_same_calls(self, scenario: Scenario) -> None:
        first, second = _calls(scenario), _calls(scenario)
        assert first == second, f"first {first}, then {second}"

    def test_a_run_whose_stages_are_finished_makes_the_same_calls(self, scenario: Scenario) -> None:
        first, second = _calls(scenario), _calls(scenario, finished=True)
        assert first == second, f"first {first}, resumed {second}"


def _calls(scenario: Scenario, *, finished: bool = False) -> list[tuple[str, ...]]:
    session = RecordingSession(finished=finished, several=scenario.takes_tasks)
    scenario.run(session)
    return session.calls
