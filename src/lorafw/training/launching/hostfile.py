"""Host files as DeepSpeed and MPI have them: a host and its slots on each line."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorafw.errors import UsageError

_LINE = re.compile(r"(\S+)(?:\s+slots\s*=\s*(\d+))?")


@dataclass(frozen=True, slots=True)
class Host:
    """A machine and how many ranks it is to have."""

    name: str
    slots: int


def read_hostfile(path: Path) -> list[Host]:
    """The hosts of a file, in its order; `#` begins a comment.

    Raises:
        UsageError: a line is not `host slots=N`, a host is there twice, or there is none.
    """
    hosts: list[Host] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        found = _LINE.fullmatch(text)
        if found is None or found[2] == "0":
            raise UsageError(f"'{text}' is not `host slots=N`.", where=f"{path}:{number}")
        if found[1] in {host.name for host in hosts}:
            raise UsageError(f"host {found[1]} is there twice.", where=f"{path}:{number}")
        hosts.append(Host(found[1], int(found[2] or 1)))
    if not hosts:
        raise UsageError("no host is in it.", where=str(path))
    return hosts


def own_place(hosts: Sequence[Host]) -> int | None:
    """Which of the hosts this machine is: by its name, or else by its addresses."""
    names = [host.name for host in hosts]
    mine = {socket.gethostname(), socket.getfqdn()}
    mine |= {name.partition(".")[0] for name in mine}
    found = [number for number, name in enumerate(names) if name in mine]
    found = found or [number for number, name in enumerate(names) if _is_here(name)]
    return found[0] if len(found) == 1 else None


def _is_here(name: str) -> bool:
    """Whether a socket of this machine can have the host's address."""
    try:
        places = socket.getaddrinfo(name, 0, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    return any(_binds(family, place) for family, _, _, _, place in places)


def _binds(family: int, place: object) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind(place)  # type: ignore[arg-type]
            return True
    except OSError:
        return False
