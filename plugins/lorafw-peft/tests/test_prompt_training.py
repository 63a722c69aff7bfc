"""Virtual tokens learn the same however a batch is cut, laid out and shared among ranks."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lorafw.assembly.registry import Registry
from lorafw.contracts import Trainer
from lorafw.testing.toy_training import started, train, training_plan
from lorafw.types import Layout

sys.path.insert(0, str(Path(__file__).parent))
from two_ranks import METHODS, fresh, trained


@pytest.fixture(scope="module", params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def alone(method: str) -> Mapping[str, Tensor]:
    """Every global batch in one piece, padded, in one process."""
    return trained(method, budget=10_000)


def assert_same(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, atol=5e-6, rtol=0, msg=name)


def test_training_moves_them(method: str, alone: Mapping[str, Tensor]) -> None:
    for name, before in fresh(method).trainable().items():
        assert (alone[name] - before).abs().max() > 1e-4, f"{name} did not move"


def test_micro_batches_add_up(method: str, alone: Mapping[str, Tensor]) -> None:
    assert_same(trained(method, budget=40), alone)


def test_segments_learn_what_padded_rows_do(method: str, alone: Mapping[str, Tensor]) -> None:
    if method == "prefix_tuning":
        pytest.skip("a prefix takes padded rows only")
    assert_same(trained(method, layout=Layout.SEGMENTS), alone)


def test_two_ranks_learn_what_one_does(
    method: str, alone: Mapping[str, Tensor], two_ranks: list[dict[str, Tensor]]
) -> None:
    mine = {n.split("/", 1)[1]: t for n, t in two_ranks[0].items() if n.startswith(f"{method}/")}
    assert_same(mine, alone)


def test_partitioned_parameters_learn_the_same() -> None:
    """P-tuning's encoder is gathered when it is called, as layers of the base are."""
    assert_same(trained("p_tuning", trainer_name="deepspeed"), trained("p_tuning"))


def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    """From values that were read, too: those its encoder cannot give are in the checkpoint."""
    trainer = Registry().load("trainer", "ddp").from_mapping({}, where="trainer")
    assert isinstance(trainer, Trainer)
    given = {"prompt_embeddings": torch.randn(5, 32, generator=torch.Generator().manual_seed(0))}

    def run(steps: int, *, resume: bool, folder: Path | None) -> dict[str, Tensor]:
        model = fresh("p_tuning")
        if not resume:
            model.load_state(given)
        plan = training_plan(max_steps=steps)
        with started(trainer) as running:
            done = train(running, model, plan=plan, checkpoints=folder, resume=resume)
        return {**model.trainable(), **done.values}

    whole = run(4, resume=False, folder=None)
    run(2, resume=False, folder=tmp_path)
    rest = run(4, resume=True, folder=tmp_path)
    assert rest.keys() == whole.keys()
    assert all(torch.equal(rest[name], value) for name, value in whole.items())
