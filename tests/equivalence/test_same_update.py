"""Every engine, rank count, layout, injector and micro-batch budget gives the same update."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tests.equivalence import reference
from tests.equivalence.cases import CASES, ENGINES, SABOTAGE, Case
from torch import Tensor

from lorafw.testing.forked_ranks import run_on_ranks
from lorafw.testing.toy_training import STEPS

RELATIVE, ABSOLUTE = 1e-5, 5e-6
WORLDS = (1, 2)
ROOT = Path(__file__).parents[2]

Files = Callable[[Case, int], Path]
Traces = Callable[[Case, int], dict[str, Tensor]]


@pytest.fixture(scope="module")
def expected() -> reference.Trace:
    return reference.train()


@pytest.fixture(scope="module")
def traces(files: Files) -> Traces:
    """What a run showed."""
    return lambda case, ranks: load_file(files(case, ranks))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Runs all cases of a trainer and rank count at once, when the first of them is asked for."""
    done: dict[tuple[str, int], Path] = {}

    def file(case: Case, ranks: int) -> Path:
        trainer, _ = ENGINES[case.engine]
        if (trainer, ranks) not in done:
            done[trainer, ranks] = tmp_path_factory.mktemp(f"{trainer}-{ranks}")
            names = [c.name for c in [*CASES, *SABOTAGE] if ENGINES[c.engine][0] == trainer]
            launch(ranks, done[trainer, ranks], *names)
        return done[trainer, ranks] / f"{case.name}.safetensors"

    return file


def launch(ranks: int, output: Path, *arguments: str, worker: str = "worker") -> None:
    module, given = f"tests.equivalence.{worker}", [str(output), *arguments]
    log = output.parent / f"{output.name}.log"
    run_on_ranks(ranks, module, given, log=log, folder=ROOT, seconds=500)


def _relative(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def differences(found: dict[str, Tensor], expected: reference.Trace) -> dict[str, float]:
    """Largest difference by what is compared: gradients and figures relative, values absolute."""
    assert len(found["losses"]) == len(found["norms"]) == STEPS
    gradients = [
        _relative(found[f"gradient/{step}/{name}"], wanted)
        for step, by_name in enumerate(expected.gradients)
        for name, wanted in by_name.items()
    ]
    losses = torch.tensor(expected.losses, dtype=torch.float64)
    norms = torch.tensor(expected.norms, dtype=torch.float64)
    values = [
        float((found[f"parameter/{name}"] - wanted).abs().max())
        for name, wanted in expected.parameters.items()
    ]
    return {
        "gradient": max(gradients),
        "loss": float(((found["losses"] - losses) / losses).abs().max()),
        "norm": float(((found["norms"] - norms) / norms).abs().max()),
        "parameter": max(values),
    }


def test_the_reference_is_not_blind(expected: reference.Trace) -> None:
    first = expected.gradients[0]
    assert all(float(gradient.norm()) > 1e-4 for gradient in first.values())
    assert min(expected.norms) < reference.CLIP < max(expected.norms)


@pytest.mark.parametrize("ranks", WORLDS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_update_is_that_of_the_plain_reference(
    case: Case, ranks: int, traces: Traces, expected: reference.Trace
) -> None:
    found = differences(traces(case, ranks), expected)
    limits = {"gradient": RELATIVE, "loss": RELATIVE, "norm": RELATIVE, "parameter": ABSOLUTE}
    assert all(found[what] <= limit for what, limit in limits.items()), found


@pytest.mark.parametrize("engine", ENGINES)
def test_the_fast_path_is_taken_where_weights_are_whole(engine: str, files: Files) -> None:
    """And where they are not, the same update comes from the ordinary one."""
    partitioned = engine in {"deepspeed-3", "accelerate-fsdp"}
    with safe_open(files(Case(engine, "custom", "padded", 60), 2), "pt") as held:
        told = held.metadata()["notices"]
    assert ("2 of 2 layers take the fast path." in told) is not partitioned
    assert ("No layer takes the fast path: the trainer" in told) is partitioned


@pytest.mark.parametrize("case", SABOTAGE, ids=lambda case: case.sabotage)
def test_a_wrong_loss_scale_is_seen(case: Case, traces: Traces, expected: reference.Trace) -> None:
    """The two classic faults: a mean per micro-batch, and a missing factor of the rank count."""
    found = differences(traces(case, 2), expected)
    assert found["gradient"] > 100 * RELATIVE


def test_every_trainer_is_compared() -> None:
    assert {name for name, _ in ENGINES.values()} == {"ddp", "accelerate", "deepspeed"}
