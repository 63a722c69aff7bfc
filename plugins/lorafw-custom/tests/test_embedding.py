"""LoRA over an embedding against PEFT's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lorafw_custom._embedding import LoRAEmbedding

IDS = torch.tensor([[3, 0, 3], [7, 1, 2]])


class Scaled(nn.Embedding):
    """As in Gemma."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__(tokens, width)
        self.embed_scale = torch.tensor(1.7)

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids) * self.embed_scale


def made(kind: type[nn.Embedding] = nn.Embedding, *, use_dora: bool = False) -> LoRAEmbedding:
    torch.manual_seed(0)
    over = LoRAEmbedding(kind(9, 5), rank=2, scaling=1.5, use_dora=use_dora)
    for parameter in (over.lora_A, over.lora_B):
        nn.init.normal_(parameter, std=0.3)
    return over


def peft_of(over: LoRAEmbedding, *, use_dora: bool) -> Any:
    from peft.tuners.lora import Embedding, LoraConfig

    config = LoraConfig(r=2, lora_alpha=3, use_dora=use_dora)
    layer = Embedding(over.layer, "default", config=config, r=2, lora_alpha=3)
    layer.lora_embedding_A["default"].data.copy_(over.lora_A)
    layer.lora_embedding_B["default"].data.copy_(over.lora_B)
    if use_dora:
        layer.lora_magnitude_vector["default"].weight.data.copy_(over.lora_magnitude_vector)
    return layer


@pytest.mark.parametrize("use_dora", [False, True])
@pytest.mark.parametrize("kind", [nn.Embedding, Scaled])
def test_output_and_gradients_are_those_of_peft(kind: type[nn.Embedding], use_dora: bool) -> None:
    over = made(kind, use_dora=use_dora)
    if over.lora_magnitude_vector is not None:
        over.lora_magnitude_vector.data.mul_(torch.linspace(0.5, 1.5, 5))
    theirs = peft_of(over, use_dora=use_dora)
    pairs: list[tuple[Any, Any]] = [
        (over.lora_A, theirs.lora_embedding_A["default"]),
        (over.lora_B, theirs.lora_embedding_B["default"]),
    ]
    if use_dora:
        pairs.append((over.lora_magnitude_vector, theirs.lora_magnitude_vector["default"].weight))
    torch.testing.assert_close(over(IDS), theirs(IDS))
    weights = torch.linspace(-1, 1, 30).view(2, 3, 5)
    ours = torch.autograd.grad(over(IDS), [mine for mine, _ in pairs], weights)
    expected = torch.autograd.grad(theirs(IDS), [other for _, other in pairs], weights)
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("use_dora", [False, True])
def test_the_merged_table_gives_the_same(use_dora: bool) -> None:
    over = made(Scaled, use_dora=use_dora)
    plain = Scaled(9, 5)
    plain.weight.data = over.merged_weight()
    torch.testing.assert_close(plain(IDS), over(IDS))


def test_disabled_is_the_table() -> None:
    over = made()
    over.enabled = False
    assert torch.equal(over(IDS), over.layer(IDS))
