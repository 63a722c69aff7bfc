"""Two machines on one: network namespaces with a cable between them."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ADDRESSES = ("10.99.0.1", "10.99.0.2")
_numbers = itertools.count()


def why_not() -> str:
    """Why this machine cannot have them; empty if it can."""
    if sys.platform != "linux" or shutil.which("ip") is None:
        return "two nodes need Linux and iproute2's `ip`"
    if os.geteuid() != 0:
        return "two nodes need network namespaces, and those need root"
    name = f"lorafw-try-{os.getpid()}"
    tried = _ip("netns", "add", name, check=False)
    if tried.returncode:
        return f"network namespaces are not allowed here: {tried.stderr.strip()}"
    _ip("netns", "del", name)
    return ""


class Nodes:
    """Two namespaces; names are this process's own."""

    def __init__(self) -> None:
        mark = f"{os.getpid()}-{next(_numbers)}"
        self.names = [f"lorafw-{side}-{mark}" for side in "ab"]
        self.cables = [f"l{side}{mark}"[:15] for side in "ab"]

    def build(self) -> None:
        """Make both and lay the cable."""
        _ip("link", "add", self.cables[0], "type", "veth", "peer", "name", self.cables[1])
        for name, cable, address in zip(self.names, self.cables, ADDRESSES, strict=True):
            _ip("netns", "add", name)
            _ip("link", "set", cable, "netns", name)
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", cable)
            _ip("-n", name, "link", "set", cable, "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def on(self, number: int, command: list[str]) -> list[str]:
        """The command as it is run on a node."""
        return ["ip", "netns", "exec", self.names[number], *command]

    def cut(self) -> None:
        """Pull the cable out."""
        _ip("-n", self.names[0], "link", "set", self.cables[0], "down")

    def heal(self) -> None:
        """Put it back."""
        _ip("-n", self.names[0], "link", "set", self.cables[0], "up")

    def remove(self) -> None:
        """Take all away, however far building got."""
        for name in self.names:
            _ip("netns", "del", name, check=False)
        _ip("link", "del", self.cables[0], check=False)


@contextmanager
def two_nodes() -> Iterator[Nodes]:
    """Two nodes, and nothing left of them afterwards."""
    nodes = Nodes()
    try:
        nodes.build()
        yield nodes
    finally:
        nodes.remove()


def _ip(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=check)
