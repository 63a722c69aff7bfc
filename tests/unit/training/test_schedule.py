"""The learning rate of every step."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from lorafw.contracts import TrainPlan
from lorafw.errors import ConfigError
from lorafw.training.schedule import learning_rate

SCHEDULES = get_args(TrainPlan.model_fields["schedule"].annotation)
STEPS, WARMUP = 40, 7


def _rates(steps: int, **options: object) -> list[float]:
    plan = TrainPlan.from_mapping({"learning_rate": 1.0, **options}, where="plan")
    return [learning_rate(plan, step, steps) for step in range(steps)]


def _theirs(build: Any, *, warmup: int, **options: Any) -> list[float]:
    """The rates of a schedule of transformers, step by step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = build(optimizer, num_warmup_steps=warmup, **options)
    rates = []
    for _ in range(STEPS):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return rates


def test_warmup_is_linear_and_reaches_the_peak() -> None:
    assert _rates(10, warmup_ratio=0.4, schedule="constant") == [0.25, 0.5, 0.75, *[1.0] * 7]


def test_linear_falls_evenly() -> None:
    assert _rates(4, warmup_ratio=0, schedule="linear") == [1.0, 0.75, 0.5, 0.25]


def test_cosine_is_half_way_in_the_middle() -> None:
    rates = _rates(8, warmup_ratio=0, schedule="cosine")
    assert rates[0] == 1.0
    assert rates[4] == pytest.approx(0.5)


@pytest.mark.parametrize("warmup", [0, WARMUP])
@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (
            {"schedule": "linear"},
            transformers.get_linear_schedule_with_warmup,
            {"num_training_steps": STEPS},
        ),
        (
            {"schedule": "cosine"},
            transformers.get_cosine_schedule_with_warmup,
            {"num_training_steps": STEPS},
        ),
        (
            {"schedule": "cosine", "min_learning_rate_ratio": 0.2},
            transformers.get_cosine_with_min_lr_schedule_with_warmup,
            {"num_training_steps": STEPS, "min_lr_rate": 0.2},
        ),
        ({"schedule": "constant"}, transformers.get_constant_schedule_with_warmup, {}),
        ({"schedule": "inverse-sqrt"}, transformers.get_inverse_sqrt_schedule, {}),
        *(
            (
                {
                    "schedule": "wsd",
                    "decay_ratio": 0.25,
                    "decay_shape": shape,
                    "min_learning_rate_ratio": 0.1,
                },
                transformers.get_wsd_schedule,
                {
                    "num_decay_steps": STEPS // 4,
                    "num_training_steps": STEPS,
                    "decay_type": shape,
                    "min_lr_ratio": 0.1,
                },
            )
            for shape in ("linear", "1-sqrt")
        ),
    ],
    ids=lambda value: value.get("schedule", "") if isinstance(value, dict) else None,
)
def test_behind_warmup_it_is_that_of_transformers(
    ours: dict[str, Any], theirs: Any, options: dict[str, Any], warmup: int
) -> None:
    found = _rates(STEPS, warmup_steps=warmup, **ours)
    wanted = _theirs(theirs, warmup=warmup, **options)
    assert found[warmup:] == pytest.approx(wanted[warmup:], abs=1e-12)


def test_the_last_steps_of_wsd_fall_with_a_square_root() -> None:
    """Hägele et al. 2024: 1 - sqrt((n - (N - N_decay)) / N_decay)."""
    rates = _rates(20, schedule="wsd", warmup_steps=4, decay_ratio=0.4)
    assert rates[4:13] == [1.0] * 9
    assert rates[13:] == pytest.approx([1 - math.sqrt((n - 12) / 8) for n in range(13, 20)])


@pytest.mark.parametrize("steps", [1, 9, 300])
def test_minimind_is_its_own_formula(steps: int) -> None:
    wanted = [
        1e-4 / 10 + 0.5 * 1e-4 * (1 + math.cos(math.pi * step / steps)) for step in range(steps)
    ]
    assert _rates(steps, schedule="minimind", learning_rate=1e-4) == pytest.approx(
        wanted, rel=1e-15
    )
    assert wanted[0] == pytest.approx(1.1e-4)


def test_minimind_of_today_is_a_cosine_with_a_floor() -> None:
    options = {"schedule": "cosine", "min_learning_rate_ratio": 0.1, "warmup_steps": 0}
    wanted = [0.1 + 0.45 * (1 + math.cos(math.pi * step / 30)) for step in range(30)]
    assert _rates(30, **options) == pytest.approx(wanted)


@st.composite
def _plans(draw: st.DrawFn) -> dict[str, Any]:
    schedule = draw(st.sampled_from(SCHEDULES))
    if schedule == "minimind":
        return {"schedule": schedule}
    warmup = draw(
        st.one_of(
            st.fixed_dictionaries({"warmup_ratio": st.floats(0, 1)}),
            st.fixed_dictionaries({"warmup_steps": st.integers(0, 250)}),
        )
    )
    options = {
        "min_learning_rate_ratio": st.floats(0, 1),
        "decay_ratio": st.floats(0.01, 1),
        "decay_shape": st.sampled_from(["linear", "1-sqrt"]),
    }
    return {"schedule": schedule, **warmup, **draw(st.fixed_dictionaries(options))}


@given(st.integers(1, 200), _plans())
def test_up_to_the_peak_and_never_up_again(steps: int, options: dict[str, Any]) -> None:
    rates = _rates(steps, **options)
    peak = 1.1 if options["schedule"] == "minimind" else 1.0
    warmup = options.get("warmup_steps", math.ceil(options.get("warmup_ratio", 0) * steps))
    floor = options.get("min_learning_rate_ratio", 0.0) * 0.999
    assert all(floor <= rate <= peak for rate in rates[warmup:])
    assert all(rate > 0 for rate in rates)
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    if warmup < steps:
        assert rates[warmup] == peak
    if 0 < warmup <= steps:
        assert rates[warmup - 1] == peak


@given(st.integers(2, 2000), st.floats(0, 0.9))
def test_one_step_more_would_reach_the_floor(steps: int, floor: float) -> None:
    for schedule in ("linear", "cosine", "wsd"):
        plan = TrainPlan(
            schedule=schedule, learning_rate=1.0, warmup_steps=1, min_learning_rate_ratio=floor
        )
        assert learning_rate(plan, steps, steps) == pytest.approx(floor, abs=1e-9)


def test_without_a_word_a_share_of_the_steps_warms_up() -> None:
    assert TrainPlan().warmup_ratio == 0.03
    assert TrainPlan(warmup_steps=5).warmup_ratio is None
    assert TrainPlan(schedule="minimind").warmup_ratio is None


def test_what_a_plan_writes_down_it_reads_again() -> None:
    for plan in (TrainPlan(), TrainPlan(warmup_steps=5), TrainPlan(schedule="minimind")):
        assert TrainPlan.from_mapping(plan.model_dump(mode="json"), where="plan") == plan


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"warmup_ratio": 0.1, "warmup_steps": 5},
            r"plan.warmup_steps: warmup_ratio is set as well; make one of the two null \(got 5\)",
        ),
        ({"schedule": "minimind", "warmup_ratio": 0.1}, "plan.warmup_ratio: the schedule minimind"),
        ({"schedule": "minimind", "warmup_steps": 3}, "plan.warmup_steps: the schedule minimind"),
        (
            {"schedule": "minimind", "min_learning_rate_ratio": 0.1},
            "plan.min_learning_rate_ratio: the schedule minimind",
        ),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainPlan.from_mapping(options, where="plan")
