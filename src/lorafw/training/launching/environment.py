"""What launchers other than lorafw's own leave in the environment, brought to one form."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

from lorafw.errors import UsageError
from lorafw.training.launching.ranks import PORT, Ranks
from lorafw.training.launching.slurm import hosts, tasks_per_node

WORKER = "LORAFW_WORKER"
"""Set in ranks that lorafw's own launcher started."""

Variables = Mapping[str, str]


def is_worker() -> bool:
    """Whether lorafw's own launcher started this process."""
    return WORKER in os.environ


def under_launcher() -> bool:
    """Whether some launcher (ours, torchrun, accelerate, deepspeed) started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def adopt(environment: MutableMapping[str, str] = os.environ) -> str:
    """Set RANK, WORLD_SIZE, … from the variables of SLURM or MPI; the launcher's name, or "".

    Variables that are set already win.

    Raises:
        UsageError: the launcher leaves open where ranks are to meet.
    """
    if "RANK" in environment and "WORLD_SIZE" in environment:
        return _by_name(environment)
    for name, read in (("srun", _slurm), ("mpirun", _open_mpi), ("mpiexec", _pmi)):
        if found := read(environment):
            for key, value in found.items():
                environment.setdefault(key, value)
            return name
    return ""


def unheeded(ranks: Ranks, launcher: str) -> list[str]:
    """What to tell someone who asks for ranks where a launcher has already started some."""
    if not ranks.watched or launcher in {"", "lorafw"}:
        return []
    started = os.environ["WORLD_SIZE"]
    return [f"--nproc and its kin are not heeded: {launcher} has already started {started} ranks."]


def _by_name(environment: Variables) -> str:
    if WORKER in environment:
        return "lorafw"
    if any(key.startswith("ACCELERATE_") for key in environment):
        return "accelerate launch"
    if "CROSS_RANK" in environment:
        return "deepspeed"
    return "torchrun" if "TORCHELASTIC_RUN_ID" in environment else "a launcher"


def _slurm(environment: Variables) -> dict[str, str]:
    """Tasks of `srun`; a script of `sbatch` is one task and has no step."""
    size = environment.get("SLURM_STEP_NUM_TASKS") or environment.get("SLURM_NTASKS", "1")
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST", "")
    in_step = {"SLURM_STEP_ID", "SLURM_STEP_NODELIST"} & set(environment)
    if not in_step or "SLURM_PROCID" not in environment or int(size) < 2:
        return {}
    names = _understood(nodes)
    job = int(environment.get("SLURM_JOB_ID", "0"))
    step = int(environment.get("SLURM_STEP_ID", "0"))
    counts = environment.get("SLURM_STEP_TASKS_PER_NODE") or environment.get("SLURM_TASKS_PER_NODE")
    node = int(environment.get("SLURM_NODEID", "0"))
    local = _tasks_of(node, counts, len(names), int(size))
    return {
        "RANK": environment["SLURM_PROCID"],
        "WORLD_SIZE": size,
        "LOCAL_RANK": environment.get("SLURM_LOCALID", "0"),
        **({"LOCAL_WORLD_SIZE": str(local)} if local else {}),
        "MASTER_ADDR": "127.0.0.1" if len(names) == 1 else names[0],
        # The same on every task, and another for another job on the same machine.
        "MASTER_PORT": str(20000 + (job * 7 + step) % 10000),
    }


def _understood(nodes: str) -> list[str]:
    try:
        return hosts(nodes)
    except ValueError as error:
        raise UsageError(
            f"{error}.", where="SLURM_STEP_NODELIST", mend="Set RANK, WORLD_SIZE and MASTER_ADDR."
        ) from None


def _tasks_of(node: int, counts: str | None, nodes: int, size: int) -> int | None:
    """Tasks on this node, if SLURM says so."""
    try:
        each = tasks_per_node(counts or "")
    except ValueError:
        each = []
    if len(each) == nodes and sum(each) == size and node < nodes:
        return each[node]
    return size if nodes == 1 else None


def _open_mpi(environment: Variables) -> dict[str, str]:
    return _mpi(environment, *(f"OMPI_COMM_WORLD_{part}" for part in _PARTS))


def _pmi(environment: Variables) -> dict[str, str]:
    """MPICH, Intel MPI and kin."""
    return _mpi(environment, "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS")


_PARTS = ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE")


def _mpi(environment: Variables, *names: str) -> dict[str, str]:
    rank, size, local_rank, local_size = (environment.get(name) for name in names)
    if rank is None or size is None or int(size) < 2:
        return {}
    if "MASTER_ADDR" not in environment and local_size != size:
        raise UsageError(
            "MPI does not say where ranks on several machines are to meet.",
            where="MASTER_ADDR",
            mend="Set it to the host of rank 0 in every rank, as in `mpirun -x MASTER_ADDR=HOST`.",
        )
    return {
        "RANK": rank,
        "WORLD_SIZE": size,
        "LOCAL_RANK": local_rank or "0",
        **({"LOCAL_WORLD_SIZE": local_size} if local_size else {}),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(PORT),
    }
