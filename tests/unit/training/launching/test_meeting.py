"""Launchers of several nodes, here in threads of one process."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from lorafw.errors import UsageError
from lorafw.training.launching import line, meeting
from lorafw.training.launching.contact import LostContact
from lorafw.training.launching.failure import Failure
from lorafw.training.launching.line import within
from lorafw.training.launching.meeting import Meeting, Place, Verdict
from lorafw.training.launching.ranks import Ranks

Meet = Callable[..., Meeting]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "REJOIN_SECONDS", 0.5)
    monkeypatch.setattr(meeting, "WORD_SECONDS", 2.0)
    monkeypatch.setattr(meeting, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(line, "POLL_SECONDS", 0.02)


@pytest.fixture
def meet() -> Meet:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]

    def node(number: int, seconds: float = 5.0, **more: Any) -> Meeting:
        ranks = Ranks(node=number, endpoint=f"127.0.0.1:{port}", **{"nodes": 2, **more})
        return Meeting(ranks, seconds, lambda: False)

    return node


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as pool:
        yield pool


def test_ranks_are_counted_from_node_0(meet: Meet, threads: ThreadPoolExecutor) -> None:
    first, second = meet(0), meet(1)
    late = threads.submit(second.gather, 0, 3)
    assert first.gather(0, 2) == Place((0, 1), 0, 5)
    assert late.result() == Place((0, 1), 2, 5)


def test_who_does_not_come_is_named(meet: Meet) -> None:
    with pytest.raises(LostContact, match=r"node 1 did not come within 0\.3 seconds"):
        meet(0, 0.3).gather(0, 2)


def test_node_0_may_not_be_there(meet: Meet) -> None:
    with pytest.raises(LostContact, match="node 0 does not answer"):
        meet(1, 0.3)


def test_a_number_is_given_once(meet: Meet, threads: ThreadPoolExecutor) -> None:
    first, second, twin = meet(0), meet(1), meet(1)
    both = [threads.submit(node.gather, 0, 1) for node in (first, second)]
    assert [place.result().world_size for place in both] == [2, 2]
    with pytest.raises(UsageError, match="another node has the number 1"):
        twin.gather(0, 1)


def test_a_port_that_is_taken(meet: Meet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ranks = Ranks(nodes=2, endpoint=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(UsageError, match="is taken"):
            Meeting(ranks, 1.0, lambda: False)


def test_a_lost_node_can_be_done_without(meet: Meet, threads: ThreadPoolExecutor) -> None:
    first, second = meet(0, min_nodes=1), meet(1, min_nodes=1)
    late = threads.submit(second.gather, 0, 1)
    assert first.gather(0, 1).world_size == 2
    late.result()
    assert first.gather(1, 1) == Place((0,), 0, 1)
    with pytest.raises(LostContact, match="went on without"):
        second.gather(1, 1)


def test_all_nodes_hear_of_a_failure_and_follow_node_0(
    meet: Meet, threads: ThreadPoolExecutor
) -> None:
    first, second = meet(0), meet(1)
    watch = first.watch(0)
    told = Failure(1, "crashed", "oh", 1, 0.5)
    second.tell(0, [told])
    watch.join(5)
    assert watch.over
    assert not watch.gone
    heard = threads.submit(second.verdict, 0)
    first.tell(0, [])
    assert first.told(0, (0, 1)) == [told]
    verdict = Verdict(told, again=False)
    first.decide(0, verdict, (0, 1))
    assert heard.result() == verdict


def test_a_dead_line_is_not_waited_for() -> None:
    import threading

    never = threading.Event()
    with pytest.raises(LostContact, match="dead"):
        within(0.1, never.wait)
    never.set()
    assert within(1.0, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(1.0, lambda: 1 // 0)
