"""Processes that encode portions beside this one.

They are started as commands and not by `multiprocessing`, which would import the user's script
once more in each of them. A portion that a process fails at, for whatever reason, is encoded
here: either that works, or the error is met here, in its turn.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Self

from lorafw.data.encoded.portion import SIZE, Portion, PortionMaker
from lorafw.types import Example

MOST = 32
_ONE_THREAD = {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def portions(
    examples: Sequence[Example], maker: PortionMaker, starts: Sequence[int]
) -> Iterator[Portion]:
    """The portions that begin at `starts`, in this order, encoded side by side."""
    order = _order(examples, maker)
    count = min(_cores(), MOST, len(starts)) if order else 0
    if count < 2 or order is None:
        yield from (maker.portion(examples[at : at + SIZE], at + 1) for at in starts)
        return
    with ExitStack() as stack:
        team = _Team([stack.enter_context(_Worker(order)) for _ in range(count)], maker)
        pool = stack.enter_context(ThreadPoolExecutor(count))
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        pending: deque[Future[Portion]] = deque()
        for at in starts:
            pending.append(pool.submit(team.portion, examples[at : at + SIZE], at + 1))
            if len(pending) > 2 * count:
                yield pending.popleft().result()
        yield from (future.result() for future in pending)


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _order(examples: Sequence[Example], maker: PortionMaker) -> bytes | None:
    """What a process is told first; None if it could not know the parts or the examples."""
    try:
        order = pickle.dumps([sys.path, maker, examples[0]])
    except (pickle.PicklingError, TypeError, AttributeError):
        return None
    return None if b"__main__" in order else pickle.dumps(sys.path) + pickle.dumps(maker)


class _Team:
    """Hands each portion to a process that has nothing to do."""

    def __init__(self, members: Sequence[_Worker], maker: PortionMaker) -> None:
        self._maker = maker
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in members:
            self._idle.put(worker)

    def portion(self, examples: Sequence[Example], first: int) -> Portion:
        """As `PortionMaker.portion`."""
        worker = self._idle.get()
        try:
            return worker.portion(examples, first) or self._maker.portion(examples, first)
        finally:
            self._idle.put(worker)


class _Worker:
    """One process, which ends with this one."""

    def __init__(self, order: bytes) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lorafw.data.encoded._portion_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ONE_THREAD},
        )
        self._order = order

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def portion(self, examples: Sequence[Example], first: int) -> Portion | None:
        """The portion, or None if the process cannot make it."""
        asked, told = self._process.stdin, self._process.stdout
        assert asked is not None
        assert told is not None
        try:
            asked.write(self._order + pickle.dumps((examples, first)))
            asked.flush()
            self._order = b""
            portion: Portion = pickle.load(told)  # noqa: S301 - from our own process
        except (OSError, ValueError, EOFError, pickle.UnpicklingError):
            return None
        return portion
