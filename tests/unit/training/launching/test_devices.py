"""GPUs whose rank was killed are left out."""

from __future__ import annotations

import pytest

from lorafw.training.launching.devices import Devices


def test_the_devices_of_killed_ranks_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    devices = Devices()
    assert devices.variables == {}
    devices.leave_out([1])
    assert devices.variables == {"CUDA_VISIBLE_DEVICES": "4,6"}
    devices.leave_out([0])
    assert devices.variables == {"CUDA_VISIBLE_DEVICES": "6"}


def test_no_device_is_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    devices = Devices()
    devices.leave_out([0])
    assert devices.variables == {}
