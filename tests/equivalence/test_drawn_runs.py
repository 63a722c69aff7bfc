"""Any trainer, rank count, injector, objective and cut: the plain run's values and figures.

Runs are drawn from a seed and trained in one launch per rank count. To repeat what failed, or to
draw more, set LORAFW_DRAW_SEED and LORAFW_DRAWS; `nox -s drawn` draws hundreds from a new seed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tests.equivalence import drawn, plain
from tests.equivalence.drawn import Run
from tests.equivalence.test_same_update import launch
from torch import Tensor

CHANCE = int(os.environ.get("LORAFW_DRAW_SEED", "0"))
COUNT = int(os.environ.get("LORAFW_DRAWS", "8"))
LIMITS = {"adapter": 5e-6, "figures": 1e-5}
PORTION = 25
"""Most runs in one launch, which has a time limit."""
FAULTS = ("unscaled", "mean", "fillers")
SABOTAGED = Run(
    engine="ddp",
    ranks=2,
    injector="custom",
    objective="causal-lm",
    layout="segments",
    budget=60,
    rows=9,
    batch=5,
    steps=3,
    clip=None,
    rslora=False,
    held_out=1,
    seed=3,
)
"""Two ranks with ragged micro-batches, and one held-out row: the other rank measures a filler."""


def trained(runs: list[Run], ranks: int, folder: Path) -> list[Mapping[str, Tensor]]:
    """What each run left, many in one launch; alone, in this process."""
    found: list[Mapping[str, Tensor]] = []
    for start in range(0, len(runs), PORTION):
        portion = runs[start : start + PORTION]
        drawn.write(portion, folder / "runs.json")
        if ranks == 1:
            drawn.main(folder, folder / "runs.json")
        else:
            launch(ranks, folder, str(folder / "runs.json"), worker="drawn")
        found += [load_file(folder / f"{number}.safetensors") for number in range(len(portion))]
    return found


def faults(runs: list[Run], found: list[Mapping[str, Tensor]]) -> list[str]:
    """Every run that is further from the plain one than rounding explains, in words."""
    told = []
    for run, seen in zip(runs, found, strict=True):
        off = drawn.differences(seen, plain.train(run))
        if not all(off[what] <= limit for what, limit in LIMITS.items()):
            told.append(f"{run}: {off}")
    return told


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_drawn_runs_are_the_plain_ones(ranks: int, tmp_path: Path) -> None:
    runs = drawn.draw(ranks, COUNT, CHANCE)
    assert len(runs) > COUNT // 2
    wrong = faults(runs, trained(runs, ranks, tmp_path))
    assert not wrong, f"LORAFW_DRAW_SEED={CHANCE} LORAFW_DRAWS={COUNT}\n" + "\n".join(wrong)


def test_faults_built_in_are_seen(tmp_path: Path) -> None:
    """Losses scaled by the number of ranks, means per micro-batch, fillers that are measured."""
    runs = [replace(SABOTAGED, sabotage=fault) for fault in ("", *FAULTS)]
    wrong = faults(runs, trained(runs, 2, tmp_path))
    assert len(wrong) == len(FAULTS)
    assert all(f"sabotage='{fault}'" in told for fault, told in zip(FAULTS, wrong, strict=True))


def test_every_choice_is_drawn() -> None:
    runs = [run for ranks in (1, 2, 4) for run in drawn.draw(ranks, 8, 0)]
    for choice, all_of_them in {
        "engine": set(drawn.ENGINES),
        "injector": {"custom", "peft"},
        "objective": {"causal-lm", "classification"},
        "layout": {"segments", "padded"},
    }.items():
        assert {getattr(run, choice) for run in runs} == all_of_them
