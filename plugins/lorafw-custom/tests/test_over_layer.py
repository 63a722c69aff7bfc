"""LoRA over a layer with a product of its own, against plain products in fp64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from lorafw.builtin.auto import Auto
from lorafw.contracts import ModelRequest
from lorafw.models.quantization import Quantization
from lorafw.testing.toys import toy_folder, toy_rows
from lorafw.testing.values import logits_of
from lorafw.types import Task
from lorafw_custom._over_layer import LoRAOverLayer
from lorafw_custom.injector import CustomInjector


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


@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_lengths_are_learned_over_quantised_weights(kind: Quantization, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    from peft.utils.integrations import dequantize_module_weight

    options = {"path": str(toy_folder(tmp_path, hidden_size=64)), "quantize": kind}
    builder = Auto.from_mapping(options, where="model")
    bundle = builder.build(ModelRequest(Task.CAUSAL_LM, torch.device("cpu")), builder.tokenizer())
    rows = toy_rows(2, seed=1)
    before = logits_of(bundle, rows)
    model = CustomInjector(r=4, use_dora=True, target_modules=("q_proj",)).inject(bundle)
    assert torch.equal(logits_of(bundle, rows), before)
    over: Any = bundle.module.get_submodule(model.spec.targets[0])
    nn.init.normal_(over.lora_B, std=0.05)
    a, b = (factor.detach() for factor in over.factors())
    with torch.no_grad():
        factor = over.excess(a, b) + 1
        dense: Any = dequantize_module_weight(over.layer)
    norms = (dense.float() + over.scaling * b @ a).norm(dim=1)
    torch.testing.assert_close(factor, over.lora_magnitude_vector / norms, rtol=1e-3, atol=1e-3)
