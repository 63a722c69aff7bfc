"""Running out of memory repeats the step in smaller micro-batches; the result is the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import pytest
import torch
from tests.unit.training.faulty_engines import Cramped
from tests.unit.training.on_engine import notices, trained

from lorafw.contracts import Engine, World
from lorafw.errors import TrainingError
from lorafw.testing.toy_training import Trained, training_plan, training_rows
from lorafw.testing.toys import toy_rows
from lorafw.testing.values import distance, equal
from lorafw.training.guards.memory import explained, is_out_of_memory, refuse_others_waiting
from lorafw.training.whole_engine import WholeEngine

CPU = "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"


class Behind(Cramped):
    """Fails when gradients are there already."""

    behind = True


class Broken(Cramped):
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")


class Narrow(Cramped):
    room = 20


def budget_of(done: Trained) -> int:
    found = re.findall(r"at most (\d+) tokens", " ".join(notices(done)))
    return int(found[-1])


@pytest.mark.parametrize("kind", [Cramped, Behind])
def test_the_step_is_repeated_and_the_update_the_same(kind: type[Cramped]) -> None:
    """Dropout would show if a try began with other random numbers than the first."""
    done = trained(kind, plan=training_plan(max_steps=2))
    budget = budget_of(done)
    assert budget <= Cramped.room
    wanted = trained(plan=training_plan(max_steps=2, micro_batch_tokens=budget))
    assert equal(done.values, wanted.values)
    assert done.figures("loss") == wanted.figures("loss")
    whole = trained(plan=training_plan(max_steps=2))
    assert max(distance(done.values[name], value) for name, value in whole.values.items()) <= 5e-6


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        trained(Broken)


def test_a_row_that_does_not_fit_alone_is_named() -> None:
    with pytest.raises(TrainingError, match="does not suffice for line") as caught:
        trained(Narrow, row_name=lambda row: f"line {row}")
    named, tokens = map(int, re.findall(r"\d+", caught.value.what))
    assert len(training_rows()[named].input_ids) == tokens > Narrow.room
    assert "max_length" in caught.value.mend


def test_evaluation_goes_on_in_halves() -> None:
    rows = toy_rows(9, seed=3)
    plan = training_plan(max_steps=1)
    done, wanted = (trained(kind, plan=plan, eval_rows=rows) for kind in (Cramped, WholeEngine))
    assert done.result.evaluation == pytest.approx(wanted.result.evaluation, rel=1e-6)
    with pytest.raises(TrainingError, match=r"held-out row \d alone"):
        trained(Narrow, plan=plan, eval_rows=rows)


def test_the_update_running_out_of_memory_is_explained() -> None:
    class Full(WholeEngine):
        def step(self, *, learning_rate: float) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    with pytest.raises(TrainingError, match="does not suffice for the update: CUDA out of memory"):
        trained(Full)
    with pytest.raises(ValueError, match="other"), explained("it", 1):
        raise ValueError("other")


def test_what_says_that_memory_ran_out() -> None:
    for error in (MemoryError(), torch.OutOfMemoryError("x"), RuntimeError(CPU)):
        assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("no such operator"))
    assert not is_out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize(("lockstep", "reducing"), [(True, False), (False, True), (False, False)])
def test_where_other_ranks_wait_the_plan_is_told(lockstep: bool, reducing: bool) -> None:
    class Waiting(WholeEngine):
        def __init__(self) -> None:
            self.world = World(1, 2, torch.device("cpu"))
            self.lockstep = lockstep

    engine: Engine = Waiting()
    if not (lockstep or reducing):
        refuse_others_waiting(engine, 100, reducing=reducing)
        return
    with pytest.raises(TrainingError, match="rank 1 ran out of memory") as caught:
        refuse_others_waiting(engine, 100, reducing=reducing)
    assert caught.value.where == "plan.micro_batch_tokens"
    assert caught.value.mend == "Set it to 50 and continue with --resume."


def test_memory_that_really_runs_out() -> None:
    """In a process whose address space is limited, so that the first micro-batch cannot be had."""
    command = [sys.executable, "-m", "tests.unit.training.guards.limited_memory"]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Memory ran out: micro-batches have at most" in done.stdout
    off = float(done.stdout.splitlines()[-1])
    assert off <= 5e-6
