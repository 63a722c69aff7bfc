"""Two nodes that share nothing but a cable: the same adapter as one, and a clean end without it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.namespaces import ADDRESSES, Nodes, two_nodes, why_not
from tests.integration.small_run import (
    ABSOLUTE,
    TRAINERS,
    command,
    difference,
    environment,
    make_inputs,
    steps_done,
    wait_until,
)

TIMEOUT_SECONDS = 15


@dataclass(frozen=True)
class Ended:
    """How a launcher ended."""

    code: int
    text: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.startswith("Error")]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    if reason := why_not():
        pytest.skip(reason)
    with two_nodes() as both:
        yield both


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def alone(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process on one node makes of it."""
    output = tmp_path_factory.mktemp("alone") / "run"
    subprocess.run(command(inputs, output), env=environment(), check=True, capture_output=True)
    return output


@contextmanager
def _started(nodes: Nodes, *commands: list[str]) -> Iterator[list[Ended]]:
    """Commands on the nodes, one each; what they leave is in the list once the block is over."""
    ranks = ["--nnodes", "2", "--rdzv-endpoint", f"{ADDRESSES[0]}:29611", "--node-rank"]
    processes = [
        subprocess.Popen(
            nodes.on(number, [*words, *ranks, str(number)]),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, words in enumerate(commands)
    ]
    ends: list[Ended] = []
    try:
        yield ends
        told = [process.communicate(timeout=240)[1] for process in processes]
        codes = [process.returncode for process in processes]
        ends += [Ended(code, text) for code, text in zip(codes, told, strict=True)]
    finally:
        for process in processes:  # `ip netns exec` becomes the command, so this is the launcher
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    "trainer",
    [
        "ddp",
        pytest.param("accelerate", marks=pytest.mark.faults),
        pytest.param("deepspeed", marks=pytest.mark.faults),
    ],
)
def test_two_nodes_train_as_one(
    trainer: str, nodes: Nodes, inputs: Path, alone: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    commands = [command(inputs, output, *TRAINERS[trainer]) for output in (here, there)]
    with _started(nodes, *commands) as ends:
        pass
    assert [end.code for end in ends] == [0, 0], ends
    assert difference(here, alone) < ABSOLUTE
    assert not there.exists()


@pytest.mark.faults
def test_a_cut_cable_ends_both_and_the_run_goes_on_when_it_is_healed(
    nodes: Nodes, inputs: Path, alone: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    short = ["-o", f"trainer.timeout_minutes={TIMEOUT_SECONDS / 60}"]
    slow = [command(inputs, output, *short, fault="slow") for output in (here, there)]
    try:
        with _started(nodes, *slow) as ends:
            wait_until(lambda: steps_done(here) >= 2)
            nodes.cut()
            began = time.monotonic()
        seconds = time.monotonic() - began
    finally:
        nodes.heal()
    assert not (here / "run.json").exists(), "it was over before the cable was cut"
    for end in ends:
        assert end.code == 1, end.text
        [error] = end.errors
        assert "trainer.timeout_minutes" in error or "is gone" in error
        assert "Traceback" not in end.text
    assert seconds < TIMEOUT_SECONDS + 90  # for slow machines; to end takes about ten seconds
    again = [[*words, "--resume", "-o", "trainer.timeout_minutes=5"] for words in slow]
    with _started(nodes, *again) as ends:
        pass
    assert [end.code for end in ends] == [0, 0], ends
    assert difference(here, alone) < ABSOLUTE


@pytest.mark.faults
def test_another_config_on_the_other_node_is_refused(
    nodes: Nodes, inputs: Path, tmp_path: Path
) -> None:
    commands = [command(inputs, tmp_path / "run", "-o", f"injector.r={r}") for r in (8, 4)]
    with _started(nodes, *commands) as ends:
        pass
    for end in ends:
        assert end.code == 2, end.text
        [error] = end.errors
        assert "injector.r" in error
