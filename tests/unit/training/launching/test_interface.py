"""The interface that leads to a host."""

from __future__ import annotations

import sys

import pytest

from lorafw.training.launching import interface
from lorafw.training.launching.interface import choose_interface, interface_to

VARIABLES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names of interfaces are Linux's")


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "")  # so that what the code sets is taken away afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29500")


def test_loopback_asked_for_is_loopback() -> None:
    assert interface_to("127.0.0.1", 1) == interface_to("localhost", 1) == "lo"


def test_a_name_that_means_loopback_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def source(host: str, _port: int) -> str | None:
        asked.append(host)
        return "127.0.1.1" if host == "this-machine" else None

    monkeypatch.setattr(interface, "source_address", source)
    assert interface_to("this-machine", 1) is None
    assert asked == ["this-machine", "192.0.2.1"]


def test_an_unknown_host_is_left_to_gloo() -> None:
    assert interface_to("no-such-host.invalid", 1) is None


def test_it_is_set_for_several_machines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    choose_interface()
    assert not any(name in os.environ for name in VARIABLES)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    choose_interface()
    assert [os.environ[name] for name in VARIABLES] == ["lo", "lo"]


def test_the_users_setting_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth7")
    choose_interface()
    assert [os.environ[name] for name in VARIABLES] == ["eth7", "lo"]
