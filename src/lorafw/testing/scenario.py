"""What a scenario promises: legal calls, and the same ones every time."""

from __future__ import annotations

from collections.abc import Mapping

from lorafw.contracts import FitResult, Scenario
from lorafw.testing.component import ComponentContract


class RecordingSession:
    """A session in which nothing is trained; it notes what it is asked for.

    Args:
        finished: answer as if an earlier process had finished every stage.
    """

    def __init__(self, *, finished: bool = False) -> None:
        self.calls: list[tuple[str, ...]] = []
        self._finished = finished

    def fit(self, stage: str) -> FitResult | None:
        """Note the stage."""
        self.calls.append(("fit", stage))
        return (
            None if self._finished else FitResult(3, 2.0, 1.0, {"loss": 1.5}, {"loss": 2.5}, 90, 1)
        )

    def evaluate(self) -> Mapping[str, float]:
        """Note it."""
        self.calls.append(("evaluate",))
        return {"loss": 1.5}

    def export(self) -> None:
        """Note it."""
        self.calls.append(("export",))


class ScenarioContract(ComponentContract, kind="scenario"):
    """Promises of a `Scenario`; the fixture is called `scenario`."""

    def test_it_fits_before_it_exports(self, scenario: Scenario) -> None:
        kinds = [call[0] for call in _calls(scenario)]
        assert "fit" in kinds, "it never trains"
        assert "export" not in kinds[: kinds.index("fit")], (
            f"it exports an untrained model: {kinds}"
        )

    def test_every_stage_has_a_name_of_its_own(self, scenario: Scenario) -> None:
        stages = [call[1] for call in _calls(scenario) if call[0] == "fit"]
        assert all(stages), "a stage has an empty name"
        assert len(set(stages)) == len(stages), f"stages share a name, so none can resume: {stages}"

    def test_run_again_it_makes_the_same_calls(self, scenario: Scenario) -> None:
        first, second = _calls(scenario), _calls(scenario)
        assert first == second, f"first {first}, then {second}"

    def test_a_run_whose_stages_are_finished_makes_the_same_calls(self, scenario: Scenario) -> None:
        first, second = _calls(scenario), _calls(scenario, finished=True)
        assert first == second, f"first {first}, resumed {second}"


def _calls(scenario: Scenario, *, finished: bool = False) -> list[tuple[str, ...]]:
    session = RecordingSession(finished=finished)
    scenario.run(session)
    return session.calls
