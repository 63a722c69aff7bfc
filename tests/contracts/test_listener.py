"""Core's listeners keep the promises of their kind."""

from __future__ import annotations

import pytest

from lorafw.builtin.console import Console
from lorafw.builtin.event_log import EventLog
from lorafw.testing import ListenerContract


class TestConsole(ListenerContract):
    @pytest.fixture
    def listener(self) -> Console:
        return Console(seconds=0.1)


class TestEventLog(ListenerContract):
    @pytest.fixture
    def listener(self) -> EventLog:
        return EventLog()
