"""Checkpoints in a real fit: continued, refused, accepted, and written to a disk that is full."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lorafw.assembly.registry import Registry
from lorafw.contracts import Trainer
from lorafw.errors import CheckpointError
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toy_training import STEPS, Trained, started, train, training_plan
from lorafw.testing.toys import toy_bundle
from lorafw.training.checkpoints.identity import of_plan
from lorafw.training.checkpoints.places import complete, newest_checkpoint, place_of

EVERY_STEP = {"checkpoint_every": 1, "keep_checkpoints": 2}


def fit(folder: Path, *, plan: Mapping[str, Any] | None = None, **job: Any) -> Trained:
    chosen = training_plan(**EVERY_STEP, **(plan or {}))
    trainer = Registry().load("trainer", "ddp")()
    assert isinstance(trainer, Trainer)
    with started(trainer) as running:
        return train(
            running, plan=chosen, checkpoints=folder, **{"fingerprint": of_plan(chosen), **job}
        )


def notices(done: Trained) -> list[str]:
    return [payload["message"] for event, payload in done.events if event == "notice"]


def same(ours: Trained, theirs: Trained) -> bool:
    return all(ours.values[name].equal(value) for name, value in theirs.values.items())


def test_an_accepted_change_is_told_and_stays_in_mind(tmp_path: Path) -> None:
    fit(tmp_path, plan={"max_steps": 3})
    faster = {"max_steps": 4, "learning_rate": 0.5}
    with pytest.raises(CheckpointError, match=r"plan\.max_steps: 3 -> 4, plan\.learning_rate: "):
        fit(tmp_path, plan=faster, resume=True)
    done = fit(tmp_path, plan=faster, resume=True, accept_changed=["plan"])
    assert done.figures("learning_rate") == [0.5]
    told = "another plan (plan.max_steps: 3 -> 4, plan.learning_rate: 0.001 -> 0.5)"
    assert notices(done) == [f"Continued all the same with {told}."]
    assert list(done.result.accepted_changes) == [f"after step 3: {told}"]
    later = fit(tmp_path, plan=faster, resume=True)
    assert notices(later) == []
    assert list(later.result.accepted_changes) == [f"after step 3: {told}"]


def test_another_seed_is_refused_with_both(tmp_path: Path) -> None:
    fit(tmp_path, plan={"max_steps": 1})
    with pytest.raises(CheckpointError, match=r"another seed \(seed: 1 -> 7\)"):
        fit(tmp_path, plan={"max_steps": 1}, seed=7, resume=True)


def test_another_optimizer_starts_with_no_memory(tmp_path: Path) -> None:
    fit(tmp_path, plan={"max_steps": 3})
    momentum = {"optimizer_options": {"momentum": 0.9}}
    other = {"optimizer": "sgd", **momentum, "eps": 1e-8}
    done = fit(tmp_path, plan=other, resume=True, accept_changed=["plan"])
    assert notices(done)[1] == "The optimizer remembers nothing of before."
    assert done.result.steps == STEPS


def test_an_adapter_of_another_shape_cannot_be_accepted(tmp_path: Path) -> None:
    fit(tmp_path, plan={"max_steps": 1}, fingerprint={"adapter": {"rank": 4}})
    wider = ToyInjector(r=8).inject(toy_bundle())
    with pytest.raises(CheckpointError, match=r"adapter\.rank: 4 -> 8\), whose tensors do not fit"):
        fit(
            tmp_path,
            model=wider,
            resume=True,
            fingerprint={"adapter": {"rank": 8}},
            accept_changed=["adapter"],
        )


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """While open, no file can grow beyond this many bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [100, 5000])
def test_a_full_disk_leaves_the_checkpoint_before(size: int, tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole")
    folder = tmp_path / "run"
    fit(folder, plan={"max_steps": 2}, fingerprint={})
    before = complete(folder)
    with (
        room_for(size),
        pytest.raises(CheckpointError, match=r"cannot be written: .*The checkpoint of step 2 is"),
    ):
        fit(folder, resume=True, fingerprint={})
    assert complete(folder) == before
    assert sorted(folder.iterdir()) == before, "something half-written was left"
    assert same(fit(folder, resume=True, fingerprint={}), whole)


def test_a_checkpoint_is_not_written_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one asks to stop just after a checkpoint, its folder is not replaced."""
    fit(tmp_path, plan={"max_steps": 2})
    newest = newest_checkpoint(tmp_path)
    assert newest == place_of(tmp_path, 2)
    written = newest.stat().st_mtime_ns
    fit(tmp_path, plan={"max_steps": 2}, resume=True)
    assert newest.stat().st_mtime_ns == written
