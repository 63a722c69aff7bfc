"""Where the launchers of several nodes meet: a key-value store on node 0."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lorafw.errors import UsageError
from lorafw.training.launching.contact import LostContact
from lorafw.training.launching.failure import Failure
from lorafw.training.launching.line import POLL_SECONDS, Watch, answers, connected, served
from lorafw.training.launching.ranks import Ranks

REJOIN_SECONDS = 30.0
"""How long nodes are waited for that may be left out."""
TELL_SECONDS = 5.0
"""How long this node's own word may take; if it takes longer, the line is dead."""
WORD_SECONDS = 12.0
"""How long another node's word is waited for; its ranks may need to be ended before."""


@dataclass(frozen=True, slots=True)
class Place:
    """A node's part of one attempt.

    Attributes:
        nodes: numbers of the nodes that take part.
        first_rank: number of this node's first rank.
        world_size: ranks of all nodes.
    """

    nodes: tuple[int, ...]
    first_rank: int
    world_size: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What node 0 makes of a failure; the others follow."""

    cause: Failure
    again: bool


class Meeting:
    """This node among the others. Every attempt has keys of its own.

    Args:
        ranks: this node's part, and how many others there are.
        seconds: how long to wait for the other nodes.
        given_up: whether to stop waiting.

    Raises:
        LostContact: node 0 cannot be reached in time.
        UsageError: the port is taken.
    """

    def __init__(self, ranks: Ranks, seconds: float, given_up: Callable[[], bool]) -> None:
        self._ranks, self._seconds, self._given_up = ranks, seconds, given_up
        self.host, port = ranks.address
        self._store = served(self.host, port) if ranks.node == 0 else self._reached(port)
        self.port: int = self._store.port

    @property
    def alone(self) -> bool:
        """Whether there is no other node to speak to."""
        return self._ranks.nodes == 1

    def _reached(self, port: int) -> Any:
        self._until(lambda: answers(self.host, port), self._seconds)
        if not answers(self.host, port):
            raise LostContact(
                f"node 0 does not answer at {self.host}:{port}.",
                where="--rdzv-endpoint",
                mend="Start it there, and see that the port is open.",
            )
        return connected(self.host, port)

    def gather(self, attempt: int, nproc: int) -> Place:
        """Wait for the nodes of an attempt; node 0 says which take part.

        Raises:
            LostContact: too few came in time, or this one came too late.
            UsageError: two nodes have the same number.
        """
        node, store = self._ranks.node, self._store
        if store.add(f"{attempt}/arrivals/{node}", 1) > 1:
            raise UsageError(
                f"another node has the number {node}.",
                where="--node-rank",
                mend="Give every node its own.",
            )
        store.set(f"{attempt}/node/{node}", str(nproc))
        if node == 0:
            store.set(f"{attempt}/world", json.dumps(self._world(attempt)))
        world = dict(json.loads(self._word(f"{attempt}/world", self._seconds + REJOIN_SECONDS)))
        if node not in world:
            raise LostContact("the other nodes went on without this one.")
        first = sum(count for other, count in world.items() if other < node)
        return Place(tuple(world), first, sum(world.values()))

    def _world(self, attempt: int) -> list[tuple[int, int]]:
        """Ranks of every node that came, by its number."""
        ranks = self._ranks
        keys = {node: f"{attempt}/node/{node}" for node in range(ranks.nodes)}

        def came() -> list[int]:
            return [node for node, key in keys.items() if self._store.check([key])]

        patience = self._seconds
        if ranks.fewest_nodes < ranks.nodes:
            patience = min(patience, REJOIN_SECONDS)
        self._until(lambda: len(came()) == ranks.nodes, patience)
        self._until(lambda: len(came()) >= ranks.fewest_nodes, self._seconds - patience)
        present = came()
        if len(present) < ranks.fewest_nodes:
            missing = ", ".join(str(node) for node in keys if node not in present)
            raise LostContact(
                f"node {missing} did not come within {self._seconds:g} seconds.",
                mend=f"Start it with --rdzv-endpoint {self.host}:{self.port}.",
            )
        return [(node, int(self._store.get(keys[node]))) for node in present]

    def tell(self, attempt: int, failures: Sequence[Failure]) -> None:
        """Let the other nodes know that this one's ranks have failed."""
        told = json.dumps([failure.as_json() for failure in failures])
        self._store.set(f"{attempt}/failed/{self._ranks.node}", told)
        self._store.set(f"{attempt}/over", "1")

    def told(self, attempt: int, nodes: Sequence[int]) -> list[Failure]:
        """What all nodes told, as far as they do so in time; for node 0."""
        keys = [f"{attempt}/failed/{node}" for node in nodes]
        self._until(lambda: self._store.check(keys), WORD_SECONDS)
        present = [key for key in keys if self._store.check([key])]
        texts = [text for key in present for text in json.loads(self._store.get(key))]
        return [Failure.from_json(text) for text in texts]

    def decide(self, attempt: int, verdict: Verdict, nodes: Sequence[int]) -> None:
        """Make node 0's verdict known; before the end, wait until it was heard."""
        told = json.dumps([verdict.cause.as_json(), verdict.again])
        self._store.set(f"{attempt}/verdict", told)
        if not verdict.again:
            others = len(nodes) - 1
            self._until(lambda: self._store.add(f"{attempt}/heard", 0) >= others, 5.0)

    def verdict(self, attempt: int) -> Verdict:
        """Node 0's verdict."""
        cause, again = json.loads(self._word(f"{attempt}/verdict", 2 * WORD_SECONDS))
        self._store.add(f"{attempt}/heard", 1)
        return Verdict(Failure.from_json(cause), again)

    def finish(self, attempt: int, nodes: Sequence[int]) -> None:
        """All went well here; node 0 waits for the others, whose store it keeps."""
        done = self._store.add(f"{attempt}/done", 1)
        if self._ranks.node == 0 and done < len(nodes):
            self._until(lambda: self._store.add(f"{attempt}/done", 0) == len(nodes), WORD_SECONDS)

    def watch(self, attempt: int) -> Watch:
        """A look-out for the failure of another node, with a connection of its own."""
        return Watch(self.host, self.port, f"{attempt}/over")

    def _word(self, key: str, seconds: float) -> bytes:
        self._until(lambda: self._store.check([key]), seconds)
        if not self._store.check([key]):
            raise LostContact(f"node 0 at {self.host}:{self.port} has no answer.")
        value: bytes = self._store.get(key)
        return value

    def _until(self, true: Callable[[], bool], seconds: float) -> None:
        """Wait; short looks, so that signals are heard in between."""
        end = time.monotonic() + seconds
        while not true() and time.monotonic() < end and not self._given_up():
            time.sleep(POLL_SECONDS)
