"""Errors that stand for the end of another rank, in the words of Gloo and torch."""

from __future__ import annotations

import pytest
from torch.distributed import DistNetworkError

from lorafw.training.launching.contact import LostContact, lost_contact


@pytest.mark.parametrize(
    "text",
    [
        "[../third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [::1]:9",
        "[pair.cc:144] Connection reset by peer",
        "writev [127.0.0.1]:9: Broken pipe",
        "NCCL communicator was aborted on rank 1.",
    ],
)
def test_peers_that_are_gone(text: str) -> None:
    found = lost_contact(RuntimeError(text))
    assert found is not None
    assert "another rank is gone" in str(found)


@pytest.mark.parametrize(
    "text",
    [
        "[unbound_buffer.cc:81] Timed out waiting 20000ms for recv operation to complete",
        "Application timeout caused pair closure",
        "wait timeout after 300000ms, keys: /lorafw/0/0//worker/attempt_0",
        "WorkNCCL(SeqNum=1) ran for 600029 milliseconds before timing out.",
    ],
)
def test_peers_that_say_nothing(text: str) -> None:
    found = lost_contact(RuntimeError(text))
    assert found is not None
    assert "trainer.timeout_minutes" in str(found)


def test_network_errors_of_torch_need_no_known_words() -> None:
    assert lost_contact(DistNetworkError("something new")) is not None


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shape '[2]' is invalid"),
        ValueError("Connection closed by peer"),
        FileNotFoundError(2, "no such file"),
    ],
)
def test_a_ranks_own_errors_stay(error: Exception) -> None:
    assert lost_contact(error) is None


def test_it_is_told_once() -> None:
    error = LostContact("gone")
    assert lost_contact(error) is error
