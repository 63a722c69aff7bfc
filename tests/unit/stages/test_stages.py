"""What a session remembers, and that all it does is the same for any trainer, split and ranks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from safetensors.torch import load_file
from tests.unit.stages.drill import drill, session

from lorafw.contracts import RunningTrainer
from lorafw.errors import AdapterError, UsageError
from lorafw.session import RunSession
from lorafw.testing.forked_ranks import run_on_ranks
from lorafw.testing.toy_training import started
from lorafw.testing.values import equal
from lorafw_ddp.trainer import DDPTrainer

if TYPE_CHECKING:
    from torch import Tensor

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("accelerate", "deepspeed")]


@pytest.fixture(scope="module")
def running() -> Iterator[RunningTrainer]:
    with started(DDPTrainer()) as found:
        yield found


@pytest.fixture(scope="module")
def found(
    running: RunningTrainer, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Tensor]:
    return drill(session(running, tmp_path_factory.mktemp("drill")))


def part(found: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in found.items()
        if name.startswith(prefix)
    }


def test_values_are_put_back_where_they_were(found: Mapping[str, Tensor]) -> None:
    assert equal(part(found, "again/"), part(found, "second/"))
    assert not equal(part(found, "fresh/"), part(found, "second/"))


def test_what_a_guide_holds_back_does_not_move(found: Mapping[str, Tensor]) -> None:
    before, after = part(found, "first/"), part(found, "second/")
    held = [name for name in before if "lora_B" in name]
    assert held
    assert equal({n: before[n] for n in held}, {n: after[n] for n in held})
    assert not equal(before, after)


def test_micro_batches_change_nothing(
    running: RunningTrainer, found: Mapping[str, Tensor], tmp_path: Path
) -> None:
    _check_close(drill(session(running, tmp_path, budget=1)), found)


@pytest.mark.parametrize("trainer", ["ddp", *SLOW])
def test_ranks_and_trainers_change_nothing(
    trainer: str, found: Mapping[str, Tensor], tmp_path: Path
) -> None:
    module, hidden = "tests.unit.stages.drill", {"CUDA_VISIBLE_DEVICES": ""}
    arguments = [str(tmp_path), trainer, "60"]
    run_on_ranks(2, module, arguments, log=tmp_path / "log", environment=hidden)
    for rank in (0, 1):
        _check_close(load_file(tmp_path / f"{rank}.safetensors"), found)


class Died(Exception):
    """Stands for a process that is gone."""


@pytest.mark.parametrize("call", ["fit", "score", "once", "values", "gradient", "draw"])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_run_that_died_ends_as_if_it_had_not(
    running: RunningTrainer,
    found: Mapping[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    times: int,
) -> None:
    dying = session(running, tmp_path)
    _die_at(dying, call, times, monkeypatch)
    try:
        drill(dying)
    except Died:
        again = drill(session(running, tmp_path, resume=True))
        assert equal(again, found)


def test_a_stage_that_was_finished_is_not_trained_again(
    running: RunningTrainer, found: Mapping[str, Tensor], tmp_path: Path
) -> None:
    drill(session(running, tmp_path))
    events: list[str] = []
    again = session(running, tmp_path, resume=True)
    again.job = again.job.__class__(
        **{
            **{name: getattr(again.job, name) for name in again.job.__slots__},
            "emit": lambda event, **_: events.append(event),
        }
    )
    assert equal(drill(again), found)
    assert "step_end" not in events
    assert "evaluation_end" not in events


def test_what_the_record_says(running: RunningTrainer, tmp_path: Path) -> None:
    here = session(running, tmp_path)
    drill(here)
    here.note(extra=3)
    scores = here.record["scores"]
    assert here.record["extra"] == 3
    assert scores["stages"] == ["first", "second"]
    assert scores["tasks"] == ["first", "second"]
    assert scores["judged_by"] == {"first": "loss", "second": "loss"}
    assert scores["better"] == {"first": "lower", "second": "lower"}
    assert scores["figures"]["second"]["first"]["loss"] > 0


def test_values_of_another_model_are_refused(running: RunningTrainer, tmp_path: Path) -> None:
    here = session(running, tmp_path)
    values = dict(here.values())
    name = values.popitem()[0]
    with pytest.raises(AdapterError, match=name):
        here.load(values)


def test_a_stage_has_one_name(running: RunningTrainer, tmp_path: Path) -> None:
    here = session(running, tmp_path)
    here.fit("one", task=here.tasks[0])
    with pytest.raises(UsageError, match="stages/one"):
        here.fit("one", task=here.tasks[1])


def _die_at(dying: RunSession, call: str, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process end when a method is asked for the so-manieth time."""
    whole, left = getattr(dying, call), [times]

    def dies(*given: object, **named: object) -> object:
        left[0] -= 1
        if not left[0]:
            raise Died
        return whole(*given, **named)

    monkeypatch.setattr(dying, call, dies)


def _check_close(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        off = float((found[name] - value).abs().max() / value.abs().max().clamp_min(1e-3))
        assert off <= 1e-5, f"{name} is off by {off:.1e}"
