"""Trains with and without a limit of memory; prints the notices, then how far results differ."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch
from tests.unit.training.on_engine import OnEngine, notices

from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import RunningTrainer
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toy_training import Trained, started, train, training_plan
from lorafw.testing.toys import toy_bundle, toy_rows
from lorafw.testing.values import as_if_trained, distance

VOCABULARY = 65_536
ROOM = 160 * 2**20
"""Bytes beside what the process has; the logits of a whole step need three times that."""


def fit(running: RunningTrainer, budget: int) -> Trained:
    model = ToyInjector(r=2).inject(toy_bundle(vocab_size=VOCABULARY))
    as_if_trained(model, 1)
    return train(
        running,
        model,
        training_plan(global_batch_size=32, max_steps=2, micro_batch_tokens=budget),
        rows=toy_rows(64, longest=120, vocabulary=VOCABULARY),
        objective=CausalLM(chunk_rows=100_000),
    )


def main() -> None:
    torch.set_num_threads(1)
    with started(OnEngine()) as running:
        wanted = fit(running, budget=256)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, resource.RLIM_INFINITY))
        done = fit(running, budget=100_000)
    off = max(distance(done.values[name], value) for name, value in wanted.values.items())
    sys.stdout.write("\n".join([*notices(done), str(off), ""]))


if __name__ == "__main__":
    main()
