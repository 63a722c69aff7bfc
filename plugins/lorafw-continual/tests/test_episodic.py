"""MbPA++: which rows are near, and where local adaptation ends."""

from __future__ import annotations

import torch

from lorafw.contracts import Tensors
from lorafw_continual._episodic import descended, nearest
from lorafw_continual.mbpa import MbPA


def test_the_nearest_keys_come_first() -> None:
    keys = torch.tensor([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0], [0.0, 2.0]])
    assert nearest(keys, torch.tensor([0.9, 0.0]), 3) == [2, 0, 3]
    assert nearest(keys, torch.tensor([0.9, 0.0]), 99) == [2, 0, 3, 1]


def test_local_adaptation_is_gradient_descent_on_the_papers_objective() -> None:
    start = {"w": torch.tensor([1.0, -2.0], dtype=torch.float64)}
    target = torch.tensor([0.5, 3.0], dtype=torch.float64)
    options = MbPA(local_steps=4, local_lambda=0.3, local_learning_rate=0.1)

    def gradient(values: Tensors) -> Tensors:
        return {"w": (values["w"] - target).exp()}

    wanted = start["w"].clone().requires_grad_()
    optimizer = torch.optim.SGD([wanted], lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        loss = (wanted - target).exp().sum() + 0.3 * (wanted - start["w"]).square().sum()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(descended(start, gradient, options)["w"], wanted.detach())


def test_it_ends_where_loss_and_distance_balance() -> None:
    start, pull = {"w": torch.tensor([1.0])}, 0.5
    options = MbPA(local_steps=500, local_lambda=pull, local_learning_rate=0.1)
    found = descended(start, lambda values: {"w": 2 * values["w"]}, options)
    # argmin of w² + λ (w - 1)²
    torch.testing.assert_close(found["w"], torch.tensor([pull / (1 + pull)]))
