"""Threads follow from the cores a process may use, and from those who said otherwise before."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorafw.training import cgroup
from lorafw.training.launching import cores
from lorafw.training.launching.cores import physical_cores, shared_among, threads_of_rank


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Eight processors, two to a core, all of them ours, no container."""
    for number in range(8):
        place = tmp_path / f"cpu{number}/topology/thread_siblings_list"
        place.parent.mkdir(parents=True)
        place.write_text(f"{number % 4},{number % 4 + 4}\n", encoding="utf-8")
    monkeypatch.setattr(cores._cores_of, "__defaults__", (tmp_path,))
    monkeypatch.setattr(cores, "_bound", lambda: set(range(8)))
    monkeypatch.setattr(cores.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(cgroup, "processors", lambda: None)
    return monkeypatch


def test_two_threads_of_a_core_are_one(machine: pytest.MonkeyPatch) -> None:
    assert physical_cores() == 4
    machine.setattr(cores, "_bound", lambda: {1, 5, 6})
    assert physical_cores() == 2


def test_processors_that_say_nothing_are_cores(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(cores._cores_of, "__defaults__", (Path("/nowhere"),))
    assert physical_cores() == 8


@pytest.mark.parametrize(("granted", "expected"), [(0.5, 1), (2.5, 3), (64.0, 4)])
def test_a_container_may_grant_less(
    machine: pytest.MonkeyPatch, granted: float, expected: int
) -> None:
    machine.setattr(cgroup, "processors", lambda: granted)
    assert physical_cores() == expected


@pytest.mark.usefixtures("machine")
def test_ranks_share_the_cores() -> None:
    assert [shared_among(ranks) for ranks in (1, 2, 3, 16)] == [4, 2, 1, 1]
    assert threads_of_rank({}) == 4
    assert threads_of_rank({"LOCAL_WORLD_SIZE": "2"}) == 2


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_who_said_how_many_is_heard(name: str) -> None:
    assert threads_of_rank({name: "7"}) is None


def test_a_rank_that_is_bound_has_what_it_is_bound_to(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(cores, "_bound", lambda: {2, 3})
    assert threads_of_rank({"LOCAL_WORLD_SIZE": "4"}) == 2


def test_this_machine_has_a_core() -> None:
    assert physical_cores() >= 1
