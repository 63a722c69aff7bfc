"""How many threads a rank is given: the physical cores it may use, shared among its neighbours."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from lorafw.training import cgroup

CPUS = Path("/sys/devices/system/cpu")
_SAID = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def physical_cores() -> int:
    """Cores that this process may use, at least 1.

    Two hardware threads of a core share its arithmetic units, so products of matrices gain nothing
    from the second. What the process was bound to (`taskset`, `mpirun --bind-to core`) and what a
    container grants count.
    """
    cores, granted = _cores_of(_bound()), cgroup.processors()
    return cores if granted is None else max(1, min(cores, math.ceil(granted)))


def threads_of_rank(environment: Mapping[str, str] = os.environ) -> int | None:
    """Threads of this process; None where the user, or a launcher, has said how many.

    A launcher that binds its ranks has shared the cores out already; one that binds none has not.
    """
    if any(name in environment for name in _SAID):
        return None
    cores = physical_cores()
    if len(_bound()) < (os.cpu_count() or 1):
        return cores
    return shared_among(int(environment.get("LOCAL_WORLD_SIZE", "1")), cores)


def shared_among(ranks: int, cores: int | None = None) -> int:
    """The threads of each of so many ranks on this machine."""
    return max(1, (physical_cores() if cores is None else cores) // max(1, ranks))


def _bound() -> Collection[int]:
    """Numbers of the processors that this process may run on."""
    return os.sched_getaffinity(0) if sys.platform == "linux" else range(os.cpu_count() or 1)


def _cores_of(processors: Collection[int], cpus: Path = CPUS) -> int:
    """Processors that share a core name the same siblings; where nobody tells, each is a core."""
    places = [cpus / f"cpu{number}/topology/thread_siblings_list" for number in processors]
    if not all(place.exists() for place in places):
        return len(processors)
    return len({place.read_text(encoding="utf-8") for place in places})
