from __future__ import annotations

import pytest
from benchmarks.model import _fields
from benchmarks.shapes import SHAPES


@pytest.mark.parametrize("name", SHAPES)
def test_linears_are_those_of_the_layers_that_transformers_builds(name: str) -> None:
    import torch
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaDecoderLayer

    shape = SHAPES[name]
    with torch.device("meta"):
        layer = LlamaDecoderLayer(LlamaConfig(**_fields(shape)), 0)
    linears = [each for each in layer.modules() if isinstance(each, torch.nn.Linear)]
    assert sum(into * out for into, out in shape.linears) == sum(
        each.weight.numel() for each in linears
    )


def test_smollm2_has_its_parameters() -> None:
    shape = SHAPES["smollm2-135m"]
    layers = shape.layers * sum(into * out for into, out in shape.linears)
    assert layers + shape.vocabulary * shape.hidden == pytest.approx(134.5e6, rel=0.01)
