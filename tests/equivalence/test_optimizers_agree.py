"""Every optimizer that works number by number: the same on all engines, and from hand to hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.equivalence.optimizers import B_SCALE, EPS, OPTIMIZERS, RATE
from tests.equivalence.test_same_update import launch
from torch import Tensor

from lorafw.testing.reference import backward, global_batches
from lorafw.testing.toy_training import CLIP, toy_model

pytestmark = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="no bitsandbytes")
ABSOLUTE = 5e-6


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, arXiv:2302.06675, algorithm 2, with its own betas."""

    def __init__(self, groups: Any, weight_decay: float) -> None:
        super().__init__(groups, {"weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        del closure
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                update = (0.9 * m + 0.1 * p.grad).sign() + group["weight_decay"] * p
                p.sub_(group["lr"] * update)
                m.mul_(0.99).add_(p.grad, alpha=0.01)


CLASSES: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": lambda groups, **options: torch.optim.AdamW(groups, eps=EPS, **options),
    "sgd": torch.optim.SGD,
    "torch.optim.RMSprop": torch.optim.RMSprop,
    "torch.optim.Adagrad": torch.optim.Adagrad,
    "torch.optim.NAdam": torch.optim.NAdam,
    "lion": Lion,
}


def plainly(optimizer: str) -> dict[str, Tensor]:
    """Five steps with torch alone: one process, one row at a time."""
    model = toy_model()
    parameters = dict(model.trainable())
    groups = [
        {"params": [p], "lr": RATE * (B_SCALE if "lora_B" in name else 1.0)}
        for name, p in parameters.items()
    ]
    updates = CLASSES[optimizer](groups, weight_decay=0.1, **OPTIMIZERS[optimizer])
    for rows in global_batches():
        backward(model.bundle.module, rows)
        torch.nn.utils.clip_grad_norm_(parameters.values(), CLIP)
        updates.step()
        updates.zero_grad()
    return {name: p.detach() for name, p in parameters.items()}


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """What each of two ranks ends with, after four engines."""
    output = tmp_path_factory.mktemp("hands")
    launch(2, output, worker="optimizers")
    return [load_file(output / f"{rank}.safetensors") for rank in range(2)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_five_steps_in_four_hands_are_those_of_torch(
    optimizer: str, handed: list[dict[str, Tensor]]
) -> None:
    wanted = plainly(optimizer)
    for values in handed:
        off = [
            float((values[f"{optimizer}/{name}"] - value).abs().max())
            for name, value in wanted.items()
        ]
        assert max(off) <= ABSOLUTE
