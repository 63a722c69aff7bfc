from __future__ import annotations

import pytest

from lorafw.verification import machine


def test_ranks_that_share_a_gpu_are_too_many() -> None:
    assert machine.too_much(2, gpus=2, peak=0) == ""
    assert "there are 1" in machine.too_much(2, gpus=1, peak=0)


def test_ranks_that_memory_does_not_hold_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: 3 << 30)
    assert machine.too_much(2, gpus=0, peak=1 << 30) == ""
    assert machine.too_much(4, gpus=0, peak=1 << 30).startswith("4 ranks need about 4.0 GiB")


def test_there_is_always_something_to_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 1)
    assert machine.usual_ranks() == (1, 2)
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 8)
    assert machine.usual_ranks() == (1, 2, 4)
