from __future__ import annotations

import torch
from torch import nn

from lorafw.planning.shapes_only import ShapesOnly, modules_stay


def shaped(inputs: int, outputs: int) -> nn.Linear:
    """A linear on the meta device."""
    with torch.device("meta"):
        return nn.Linear(inputs, outputs)


def test_numbers_take_no_memory_and_are_counted() -> None:
    large = shaped(100_000, 100_000)
    with ShapesOnly() as shapes:
        shapes.without_values(large)
        before = shapes.bytes.now
        made = large(torch.zeros(8, 100_000))
    assert before == (100_000 + 1) * 100_000 * 4
    assert made.shape == (8, 100_000)
    assert made.device.type == "cpu"
    assert shapes.bytes.peak >= before + made.numel() * 4


def test_whole_numbers_are_real() -> None:
    with ShapesOnly():
        ids = torch.arange(6)
        assert (ids > 2).nonzero().flatten().tolist() == [3, 4, 5]


def test_choices_among_numbers_without_values_are_made_up() -> None:
    with ShapesOnly():
        scores = torch.rand(5, 4)
        chosen = scores.topk(2).indices
        assert chosen.tolist() == torch.arange(10).view(5, 2).tolist()
        assert bool((scores > 0).all())
        assert scores.sum().item() == 1.0


def test_shared_parameters_stay_shared() -> None:
    first, second = shaped(4, 4), shaped(4, 4)
    second.weight = first.weight
    both = nn.ModuleList([first, second])
    with ShapesOnly() as shapes:
        shapes.without_values(both)
    assert first.weight is second.weight
    assert not first.weight.is_meta


def test_modules_are_cast_in_place() -> None:
    with ShapesOnly(), modules_stay():
        layer = nn.Linear(4, 4)
        weight = layer.weight
        layer.to(torch.bfloat16)
        assert layer.weight is weight
        assert weight.dtype == torch.bfloat16
    assert nn.Linear(2, 2).double().weight.dtype == torch.float64
