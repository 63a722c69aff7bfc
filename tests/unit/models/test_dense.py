from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from lorafw.models.dense import dense_weight, weight_by_output


def test_plain_weights_are_themselves() -> None:
    linear = nn.Linear(3, 5)
    assert dense_weight(linear).data_ptr() == linear.weight.data_ptr()
    assert torch.equal(weight_by_output(linear), linear.weight)


def test_conv1d_is_turned() -> None:
    from transformers.pytorch_utils import Conv1D

    layer = Conv1D(5, 3)
    assert dense_weight(layer).shape == (3, 5)
    assert torch.equal(weight_by_output(layer), layer.weight.t())


def quantised(kind: str) -> Any:
    bnb: Any = pytest.importorskip("bitsandbytes")
    plain = nn.Linear(64, 32, bias=False)
    if kind == "nf4":
        layer = bnb.nn.Linear4bit(64, 32, bias=False, quant_type="nf4")
    else:
        layer = bnb.nn.Linear8bitLt(64, 32, bias=False, has_fp16_weights=False)
    layer.load_state_dict(plain.state_dict())
    return plain, layer.to("cpu")


@pytest.mark.parametrize(("kind", "step"), [("nf4", 0.2), ("int8", 0.02)])
@pytest.mark.parametrize("used", [False, True])
def test_quantised_weights_are_the_numbers_they_stand_for(
    kind: str, step: float, used: bool
) -> None:
    """Exactly: the layer's own product with the identity, where its inputs are not rounded."""
    plain, layer = quantised(kind)
    if used:
        layer(torch.randn(2, 64))
    found, weight = weight_by_output(layer), plain.weight.detach()
    assert found.shape == (32, 64)
    assert 0 < float((found - weight).abs().max()) < step * float(weight.abs().max())
    if kind == "nf4":
        torch.testing.assert_close(found, layer(torch.eye(64)).detach().t().float())


def test_an_unknown_form_is_told() -> None:
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.zeros(2, 2, dtype=torch.int8), requires_grad=False)
    with pytest.raises(TypeError, match="int8"):
        dense_weight(layer)
