from __future__ import annotations

from benchmarks.contestants.floor import run
from benchmarks.gemm_floor import Portion, flops, portions, told
from benchmarks.rows import EOS_ID, Row
from benchmarks.shapes import SHAPES
from tests.unit.benchmarks.jobs import small_job

from lorafw.contracts import TrainPlan


def _row(prompt: int, response: int) -> Row:
    return Row((5,) * prompt, (*(6,) * (response - 1), EOS_ID))


def test_a_step_is_cut_as_lorafw_cuts_it() -> None:
    budget = TrainPlan().token_budget
    rows = [_row(10, budget - 40), _row(5, 15), _row(4, budget - 4)]
    assert portions(rows) == [Portion(budget, budget - 4), Portion(budget - 10, budget - 25)]


def test_operations_are_those_of_forward_and_input_gradients() -> None:
    shape = SHAPES["smollm2-135m"]
    token = flops(shape, 30, Portion(1, 0))
    label = flops(shape, 30, Portion(0, 1))
    assert round(token / 1e6) == 425
    assert round(label / 1e6) == 113
    assert flops(shape, 30, Portion(7, 3)) == 7 * token + 3 * label


def test_the_floor_runs_all_steps_and_trains_nothing() -> None:
    job = small_job()
    outcome = run(job)
    assert outcome.losses == []
    assert outcome.tokens == sum(len(row.ids) for row in job.rows()[8:])
    assert outcome.seconds > 0


def test_work_and_speed_are_told() -> None:
    steps = [[Portion(3, 0)], [Portion(1, 0)]]
    assert told(SHAPES["smollm2-135m"], 30, steps, 1e-3) == (
        "GEMM floor: 0.425 GFLOP for each token, 1.7 TFLOP/s."
    )
