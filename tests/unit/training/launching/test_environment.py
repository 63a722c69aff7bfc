"""Variables of SLURM and MPI become those of torch."""

from __future__ import annotations

import pytest

from lorafw.errors import UsageError
from lorafw.training.launching.environment import adopt, unheeded
from lorafw.training.launching.ranks import Ranks

SLURM = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "3",
    "SLURM_NTASKS": "4",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
}


def test_a_task_of_srun() -> None:
    found = dict(SLURM)
    assert adopt(found) == "srun"
    expected = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    assert expected.items() <= found.items()
    assert found["MASTER_ADDR"] == "gpu07"
    assert 20000 <= int(found["MASTER_PORT"]) < 30000


def test_every_task_goes_to_the_same_port_and_other_jobs_to_another() -> None:
    tasks = [dict(SLURM) | {"SLURM_PROCID": str(rank)} for rank in range(4)]
    for task in tasks:
        adopt(task)
    assert len({task["MASTER_PORT"] for task in tasks}) == 1
    other = dict(SLURM) | {"SLURM_JOB_ID": "4712"}
    adopt(other)
    assert other["MASTER_PORT"] != tasks[0]["MASTER_PORT"]


def test_one_machine_needs_no_name() -> None:
    one = {"SLURM_STEP_NODELIST": "gpu07", "SLURM_STEP_TASKS_PER_NODE": "4", "SLURM_NODEID": "0"}
    found = dict(SLURM) | one
    adopt(found)
    assert (found["MASTER_ADDR"], found["LOCAL_WORLD_SIZE"]) == ("127.0.0.1", "4")


def test_the_job_list_stands_in_for_the_step_list() -> None:
    found = {key: value for key, value in SLURM.items() if key != "SLURM_STEP_NODELIST"}
    found["SLURM_JOB_NODELIST"] = "n[01-03,07],gpu5"
    assert adopt(found) == "srun"
    assert found["MASTER_ADDR"] == "n01"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_NODELIST": "a[1-2]"},  # sbatch
        dict(SLURM) | {"SLURM_NTASKS": "1"},
        {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"},
    ],
)
def test_one_process_is_no_launch(environment: dict[str, str]) -> None:
    before = dict(environment)
    assert adopt(environment) == ""
    assert environment == before


def test_what_the_user_set_stays() -> None:
    found = dict(SLURM) | {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "1234"}
    adopt(found)
    assert (found["MASTER_ADDR"], found["MASTER_PORT"]) == ("10.0.0.1", "1234")


def test_open_mpi_on_one_machine() -> None:
    parts = {"RANK": "1", "SIZE": "2", "LOCAL_RANK": "1", "LOCAL_SIZE": "2"}
    found = {f"OMPI_COMM_WORLD_{key}": value for key, value in parts.items()}
    assert adopt(found) == "mpirun"
    assert {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}.items() <= found.items()


def test_mpi_on_several_machines_has_to_be_told_where() -> None:
    found = {"PMI_RANK": "0", "PMI_SIZE": "4", "MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "2"}
    with pytest.raises(UsageError, match="MASTER_ADDR"):
        adopt(dict(found))
    assert adopt(found | {"MASTER_ADDR": "a"}) == "mpiexec"


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"TORCHELASTIC_RUN_ID": "x"}, "torchrun"),
        ({"TORCHELASTIC_RUN_ID": "x", "ACCELERATE_MIXED_PRECISION": "no"}, "accelerate launch"),
        ({"TORCHELASTIC_RUN_ID": "lorafw", "LORAFW_WORKER": "1"}, "lorafw"),
        ({"CROSS_RANK": "0", "CROSS_SIZE": "1"}, "deepspeed"),
        ({}, "a launcher"),
    ],
)
def test_other_launchers_have_said_it_all(more: dict[str, str], name: str) -> None:
    environment = {"RANK": "0", "WORLD_SIZE": "2", **more}
    before = dict(environment)
    assert adopt(environment) == name
    assert environment == before


def test_ranks_that_are_not_started_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    [notice] = unheeded(Ranks(2), "torchrun")
    assert "torchrun has already started 4 ranks" in notice
    assert unheeded(Ranks(1), "torchrun") == unheeded(Ranks(2), "lorafw") == []
