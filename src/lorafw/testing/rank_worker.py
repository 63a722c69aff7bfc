"""One rank of the toy training.

Usage: python -m lorafw.testing.rank_worker '{"name": …, "options": …}' OUTPUT
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path

import torch
from safetensors.torch import save_file

from lorafw.assembly.registry import Registry
from lorafw.contracts import Trainer
from lorafw.testing.giving_up import check_giving_up
from lorafw.testing.promise import NotPromised
from lorafw.testing.toy_training import started, train


def main(request: str, output: Path) -> None:
    """Train, and leave the adapter and the losses of all steps in a safetensors file."""
    torch.set_num_threads(1)
    wanted = json.loads(request)
    kind = Registry().load("trainer", wanted["name"])
    trainer = kind.from_mapping(wanted["options"], where="trainer")
    assert isinstance(trainer, Trainer)
    with suppress(NotPromised):
        check_giving_up(trainer)
    with started(trainer) as running:
        done = train(running)
        rank = running.world.rank
    left = communication_threads()
    assert not left, f"after close() these threads of the process group still run: {left}"
    if rank == 0:
        losses = torch.tensor(done.figures("loss"), dtype=torch.float64)
        save_file({**done.values, "losses": losses}, output)


def communication_threads() -> list[str]:
    """Names of this process's threads that serve a process group; Linux names threads.

    One that outlives the interpreter's shutdown can abort the process after all work was done.
    """
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return sorted(name for name in names if name.startswith(("pt_gloo", "gloo_", "pt_nccl")))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
