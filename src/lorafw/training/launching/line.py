"""The line to node 0: torch's key-value store, and how not to wait for ever where it is dead."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from lorafw.errors import UsageError
from lorafw.training.launching.contact import LostContact

POLL_SECONDS = 0.2

Result = TypeVar("Result")


def answers(host: str, port: int) -> bool:
    """Whether something listens there."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def served(host: str, port: int) -> Any:
    """Node 0's end: the server, and a connection to it.

    Raises:
        UsageError: the port is taken, or the address is another machine's.
    """
    from torch.distributed import DistNetworkError

    try:
        return _store(host, port, serve=True)
    except DistNetworkError as error:
        taken = "EADDRINUSE" in str(error) or "already in use" in str(error)
        raise UsageError(
            f"port {port} is taken." if taken else f"nodes cannot meet at {host}:{port}.",
            where="--rdzv-endpoint",
            mend="Choose another, the same on every node."
            if taken
            else "Give an address of this machine, node 0, on every node.",
        ) from None


def connected(host: str, port: int) -> Any:
    """A connection to it."""
    return _store(host, port, serve=False)


def _store(host: str, port: int, *, serve: bool) -> Any:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    limit = timedelta(seconds=10)
    return TCPStore(host, port, None, serve, limit, wait_for_workers=False, multi_tenant=True)


class Watch(threading.Thread):
    """Looks for a key in the background; on a dead line a look may take for ever.

    Attributes:
        over: the key is there, or the store is not.
        gone: the store is not there any more.
    """

    def __init__(self, host: str, port: int, key: str) -> None:
        super().__init__(daemon=True)
        self.over = self.gone = self._done = False
        self._place, self._key = (host, port), key
        self.start()

    def run(self) -> None:
        """Look until there is something to see, or nobody cares any more."""
        try:
            store = connected(*self._place)
            while not self._done and not store.check([self._key]):
                time.sleep(POLL_SECONDS)
        except RuntimeError:  # torch's network errors
            self.gone = True
        self.over = not self._done

    def end(self) -> None:
        """Look no more."""
        self._done = True


def within(seconds: float, act: Callable[[], Result]) -> Result:
    """What `act` returns, if it does so in time: on a dead line, a store may wait for ever.

    Raises:
        LostContact: it does not.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(act())
        except Exception as error:  # noqa: BLE001 - raised again in the thread that asked
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise LostContact("the line between the nodes is dead.")
    return results[0]
