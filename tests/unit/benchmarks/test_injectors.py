from __future__ import annotations

import pytest
from benchmarks import injector_step
from benchmarks.injector_step import Case, run
from benchmarks.injectors import Ratio


def test_both_injectors_take_turns_at_the_same_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {**injector_step.MODEL, "hidden_size": 32, "intermediate_size": 48}
    monkeypatch.setattr(injector_step, "MODEL", {**small, "num_hidden_layers": 1})
    costs = run(Case(["peft", "custom"], 2, 16, "bf16", {"use_dora": True}, steps=2))
    assert list(costs) == ["peft", "custom"]
    assert all(cost.seconds > 0 and cost.cpu_seconds > 0 for cost in costs.values())


@pytest.mark.parametrize(
    ("cpu", "memory", "holds"),
    [(0.9, 1.02, True), (1.01, 0.5, False), (0.9, 1.03, False)],
)
def test_a_case_holds_when_it_is_faster_and_no_larger(
    cpu: float, memory: float, holds: bool
) -> None:
    assert Ratio("any", 1.0, 2.0, cpu, memory).holds is holds
