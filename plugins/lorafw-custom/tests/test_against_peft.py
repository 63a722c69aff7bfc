"""Output and gradients beside PEFT's own layers, value for value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.pytorch_utils import Conv1D

from lorafw.testing.toys import ToyEncoder, toy_bundle, toy_gpt2_bundle, toy_rows
from lorafw.testing.values import distance
from lorafw.types import Layout
from lorafw_custom._linear import LoRALinear
from lorafw_custom._over_layer import LoRAOverLayer
from lorafw_custom.injector import CustomInjector

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorafw.contracts import AdaptedModel, ModelBundle

pytest.importorskip("peft")

PATTERNS: dict[str, Any] = {
    "target_modules": ["q_proj", "v_proj", "down_proj"],
    "rank_pattern": {"v_proj": 3},
    "alpha_pattern": {"layers.1.mlp.down_proj": 5.0},
}
KINDS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "patterns": PATTERNS,
    "dora-patterns": {**PATTERNS, "use_dora": True, "use_rslora": True},
}


def peft_layer(base: nn.Module, of: LoRALinear | LoRAOverLayer, *, dropout: float = 0.0) -> Any:
    """PEFT's layer around `base` with the values of ours."""
    from peft.tuners.lora import Linear, LoraConfig

    rank, use_dora = len(of.lora_A), of.lora_magnitude_vector is not None
    transposed = isinstance(base, Conv1D)
    config = LoraConfig(
        r=rank,
        lora_alpha=of.scaling * rank,
        lora_dropout=dropout,
        use_dora=use_dora,
        fan_in_fan_out=transposed,
    )
    alpha: Any = of.scaling * rank
    layer = Linear(base, "default", config=config, r=rank, lora_alpha=alpha)
    for mine, theirs in zip(values(of), peft_values(layer), strict=True):
        theirs.data = mine.detach().clone()
    return layer


def values(of: LoRALinear | LoRAOverLayer) -> list[nn.Parameter]:
    own = (of.lora_A, of.lora_B, of.lora_magnitude_vector)
    return [parameter for parameter in own if parameter is not None]


def peft_values(layer: Any) -> list[nn.Parameter]:
    found = [layer.lora_A["default"].weight, layer.lora_B["default"].weight]
    return found + [m.weight for m in layer.lora_magnitude_vector.values()]


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from([nn.Linear, Conv1D]),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    rank=st.integers(1, 9),
    bias=st.booleans(),
    dora=st.booleans(),
    dropout=st.sampled_from([0.0, 0.5]),
)
def test_a_layer_is_that_of_peft_for_all_shapes(
    kind: Any, sizes: tuple[int, int], rank: int, bias: bool, dora: bool, dropout: float
) -> None:
    torch.manual_seed(0)
    wide, out = sizes
    # A row of one or two numbers may all but vanish in the sum, and DoRA divides by its length.
    assume(not dora or wide > 3)
    base = Conv1D(out, wide) if kind is Conv1D else nn.Linear(wide, out, bias=bias)
    for parameter in base.parameters():
        nn.init.normal_(parameter)
    options: dict[str, Any] = {"rank": rank, "scaling": 1.5, "dropout": dropout, "use_dora": dora}
    ours: Any = (LoRAOverLayer if kind is Conv1D else LoRALinear)(base, **options)
    nn.init.normal_(ours.lora_B)
    if dora:
        ours.lora_magnitude_vector.data.mul_(torch.linspace(0.5, 1.5, out))
    theirs = peft_layer(base, ours, dropout=dropout)
    x = torch.randn(3, 4, wide, requires_grad=True)
    weights = torch.linspace(-1, 2, 12 * out).view(3, 4, out)
    results = []
    for layer, parameters in ((ours, values(ours)), (theirs, peft_values(theirs))):
        torch.manual_seed(1)  # of the dropout
        made = layer.train()(x)
        results.append((made, *torch.autograd.grad(made, [x, *parameters], weights)))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)
    merged = ours.merged_weight()
    theirs.merge()  # into the weight that both hold
    torch.testing.assert_close(merged, base.weight, rtol=1e-4, atol=1e-5)


def adapted(bundle: ModelBundle, **options: Any) -> AdaptedModel:
    """Ours, with an adapter that acts but leaves the weights' lengths roughly as they are."""
    injector = CustomInjector.from_mapping({"r": 4, **options}, where="injector")
    model, generator = injector.inject(bundle), torch.Generator().manual_seed(0)
    model.load_state(
        {
            name: p.detach() + 0.05 * torch.randn(p.shape, generator=generator)
            for name, p in model.trainable().items()
        }
    )
    return model


def peft_model(bundle: ModelBundle, of: AdaptedModel) -> dict[str, nn.Parameter]:
    """PEFT's layers in a bundle, with the values of ours; its parameters by our names."""
    found: dict[str, nn.Parameter] = {}
    for name in of.spec.targets:
        ours: Any = of.bundle.module.get_submodule(name)
        layer = peft_layer(bundle.module.get_submodule(name), ours).eval()
        bundle.module.set_submodule(name, layer)
        found |= zip(of.spec.names_of(name), peft_values(layer), strict=True)
    return found


def gradients(
    bundle: ModelBundle,
    parameters: dict[str, nn.Parameter],
    layout: Layout = Layout.PADDED,
    *,
    checkpointing: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits of every real token, and gradients by name."""
    batch = ToyEncoder().collate(toy_rows(3, seed=4), layout, bundle.pad_id)

    def logits() -> Tensor:
        return bundle.logits(bundle.hidden(batch.inputs).rows).float()

    made = checkpoint(logits, use_reentrant=False) if checkpointing else logits()
    assert isinstance(made, Tensor)
    mask = batch.inputs.get("attention_mask")
    made = made if mask is None else made[mask.bool()]
    found = torch.autograd.grad(made.log_softmax(-1).square().mean(), list(parameters.values()))
    return made.detach(), dict(zip(parameters, found, strict=True))


def compare(
    make: Callable[[], ModelBundle], options: dict[str, Any], tolerance: float, **how: Any
) -> None:
    model, plain = adapted(make(), **options), make()
    theirs = peft_model(plain, model)
    made, grads = gradients(model.bundle, dict(model.trainable()), **how)
    expected, expected_grads = gradients(plain, theirs)
    assert distance(made, expected) <= tolerance
    for name, gradient in expected_grads.items():
        off = distance(grads[name], gradient)
        assert off <= tolerance, f"{name} is off by {off:.1e}"


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("kind", list(KINDS))
def test_gradients_are_those_of_peft_in_either_layout(kind: str, layout: Layout) -> None:
    compare(toy_bundle, KINDS[kind], 1e-5, layout=layout)


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_gradients_are_those_of_peft_under_checkpointing(kind: str) -> None:
    compare(toy_bundle, KINDS[kind], 1e-5, checkpointing=True)


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_gradients_are_those_of_peft_on_transposed_weights(kind: str) -> None:
    compare(toy_gpt2_bundle, KINDS[kind], 1e-5)


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_a_bf16_base_gives_gradients_about_as_near_to_fp32_as_peft_does(kind: str) -> None:
    """PEFT forms the update in fp32, from fp32 copies of its inputs; this is in bf16."""
    exact = adapted(toy_bundle(), **KINDS[kind])
    _, wanted = gradients(exact.bundle, dict(exact.trainable()))
    ours, plain = adapted(toy_bundle("bf16"), **KINDS[kind]), toy_bundle("bf16")
    ours.load_state({name: p.detach() for name, p in exact.trainable().items()})
    theirs = peft_model(plain, ours)
    _, mine = gradients(ours.bundle, dict(ours.trainable()))
    _, other = gradients(plain, theirs)
    off, allowed = (
        sum(distance(each[name], gradient) for name, gradient in wanted.items())
        for each in (mine, other)
    )
    assert off <= 1.5 * allowed
