"""LoRA over a layer with a product of its own, against plain products in fp64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from lorafw_custom._over_layer import LoRAOverLayer


class Halved(nn.Linear):
    """A linear with a forward pass of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / 2


def made(kind: Any, **options: Any) -> tuple[LoRAOverLayer, Tensor]:
    torch.manual_seed(0)
    layer = Conv1D(5, 6) if kind is Conv1D else kind(6, 5)
    over = LoRAOverLayer(layer.double(), rank=2, scaling=1.5, **options).double()
    nn.init.normal_(over.lora_B)
    return over, torch.randn(3, 4, 6, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("kind", [Conv1D, Halved])
def test_the_update_is_added_to_what_the_layer_gives(kind: Any) -> None:
    over, x = made(kind)
    expected = over.layer(x) + 1.5 * (x @ over.lora_A.t()) @ over.lora_B.t()
    torch.testing.assert_close(over(x), expected)
    over.enabled = False
    assert torch.equal(over(x), over.layer(x))


@pytest.mark.parametrize("kind", [Conv1D, Halved])
def test_gradients_are_those_of_the_formula(kind: Any) -> None:
    over, x = made(kind)
    wanted = (x, over.lora_A, over.lora_B)
    assert torch.autograd.gradcheck(lambda *_: over(x), wanted)
    assert [name for name, p in over.named_parameters() if p.requires_grad] == ["lora_A", "lora_B"]


def test_a_transposed_weight_takes_the_update_transposed() -> None:
    over, x = made(Conv1D)
    merged = Conv1D(5, 6).double()
    merged.weight.data, merged.bias.data = over.merged_weight(), over.layer.bias
    torch.testing.assert_close(merged(x), over(x))


def test_dropout_acts_in_training_only() -> None:
    over, x = made(Conv1D, dropout=0.5)
    over.eval()
    still = over(x)
    assert torch.equal(over(x), still)
    over.train()
    assert not torch.equal(over(x), still)


def test_a_quantised_weight_takes_no_update() -> None:
    over, _ = made(Halved)
    over.layer.weight = nn.Parameter(torch.zeros(5, 6, dtype=torch.int8), requires_grad=False)
    with pytest.raises(TypeError, match=r"quantised to torch\.int8"):
        over.merged_weight()
