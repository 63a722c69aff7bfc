"""Real runs in forked processes, and what they leave."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from tests.equivalence.cases import ENGINES
from torch import Tensor

from lorafw.testing.toys import WORDS, toy_folder

ROOT = Path(__file__).parents[2]
STEPS = 6
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Place:
    """An engine on a number of ranks."""

    engine: str
    ranks: int

    def __str__(self) -> str:
        return f"{self.engine} on {self.ranks}"


@dataclass(frozen=True)
class Inputs:
    """What all runs read."""

    base: Path
    rows: Path

    def config(self, place: Place, output: Path, *, dropout: float) -> dict[str, Any]:
        """A run of a few steps with a checkpoint after each."""
        trainer, options = ENGINES[place.engine]
        return {
            "run": {"output": str(output)},
            "dataset": {"use": "jsonl", "path": str(self.rows)},
            "model": {"use": "llama", "path": str(self.base)},
            "injector": {"use": "custom", "r": 4, "dropout": dropout},
            "trainer": {"use": trainer, **options},
            "listeners": ["events"],
            "plan": {
                "max_steps": STEPS,
                "epochs": 9,
                "global_batch_size": 5,
                "micro_batch_tokens": 40,
                "checkpoint_every": 1,
                "learning_rate": 1e-3,
                "eps": 1e-6,  # above the noise of rounding, which other splits bring
            },
        }


def inputs(folder: Path) -> Inputs:
    """A toy base model, and rows of many lengths whose last batch of an epoch is short."""
    chance, rows = random.Random(3), folder / "train.jsonl"
    sizes = [chance.randint(2, 9) for _ in range(17)]
    lines = [{"prompt": _words(chance, 4), "response": _words(chance, k)} for k in sizes]
    rows.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return Inputs(toy_folder(folder / "base"), rows)


def _words(chance: random.Random, count: int) -> str:
    return " ".join(chance.choices(WORDS, k=count))


@dataclass
class Zygote:
    """The process that forks runs.

    Attributes:
        core: seconds of a core that its runs have used.
    """

    process: subprocess.Popen[str]
    inputs: Inputs
    core: float = 0.0

    def run(
        self, place: Place, output: Path, *, dropout: float = 0.0, **request: Any
    ) -> tuple[list[int], float]:
        """Exit codes of the ranks of one run, and the seconds of a core that rank 0 used."""
        asked = {
            "config": self.inputs.config(place, output, dropout=dropout),
            "ranks": place.ranks,
            "log": str(_log(output)),
            "resume": False,
            **request,
        }
        told = self._ask(asked)
        self.core += sum(told["core"])
        return told["codes"], told["core"][0]

    def finish(self, place: Place, output: Path, **request: Any) -> float:
        """Run to the end; the seconds of a core that rank 0 used."""
        codes, core = self.run(place, output, **request)
        assert not any(codes), f"{place}: {codes}\n{said(output)[-3000:]}"
        return core

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        return told


def _log(output: Path) -> Path:
    return output.with_name(f"{output.name}.log")


def said(output: Path) -> str:
    """What the runs of a folder wrote to their terminals."""
    return _log(output).read_text(encoding="utf-8")


@contextmanager
def zygote(made: Inputs) -> Iterator[Zygote]:
    """Start it, and end it with its input."""
    command = [sys.executable, "-m", "tests.kills.zygote"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Zygote(process, made)
        assert process.stdin is not None
        process.stdin.close()


def adapter(output: Path) -> dict[str, Tensor]:
    """The exported tensors."""
    tensors: dict[str, Tensor] = load_file(output / "adapter" / "adapter_model.safetensors")
    return tensors


def furthest(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    """The largest difference between two adapters."""
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in theirs)


def steps(output: Path) -> list[dict[str, Any]]:
    """What was announced after each step, in the order of the file."""
    lines = (output / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == "step_end"]
