"""Experts that are one tensor beside plain linears, PEFT's layers, and the base itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lorafw.adapters.live.expert_factors import by_expert
from lorafw.contracts import AdaptedModel
from lorafw.errors import AdapterError
from lorafw.testing.adapting import logits, off_by, rows
from lorafw.testing.toy_experts import FAMILIES, toy_experts_bundle
from lorafw.testing.toys import ToyEncoder
from lorafw.testing.values import as_if_trained, distance, logits_of
from lorafw.types import Layout
from lorafw_custom._expert_product import expert_products
from lorafw_custom.injector import CustomInjector


def plain(
    x: Tensor, counts: list[int], weight: Tensor, a: Tensor, b: Tensor, scaling: float
) -> Tensor:
    """One `nn.Linear` for each expert, and two for its update."""
    made = []
    for part, kept, down, up in zip(
        torch.split(x, counts), weight, *by_expert(a, b, len(counts)), strict=True
    ):
        expert = nn.Linear(kept.shape[1], kept.shape[0], bias=False, dtype=x.dtype)
        expert.weight.data = kept
        made.append(expert(part) + scaling * (part @ down.t() @ up.t()))
    return torch.cat(made)


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4)),
    transposed=st.booleans(),
    seed=st.integers(0, 99),
)
def test_products_and_gradients_are_those_of_a_linear_for_each_expert(
    counts: list[int], sizes: tuple[int, int, int], transposed: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    (wide, out, rank), experts = sizes, len(counts)
    x = torch.randn(sum(counts), wide, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(experts, out, wide, dtype=torch.float64)
    a = torch.randn(rank * experts, wide, dtype=torch.float64, requires_grad=True)
    b = torch.randn(out, rank * experts, dtype=torch.float64, requires_grad=True)
    stored = weight.transpose(1, 2).contiguous() if transposed else weight
    ends = torch.tensor(counts).cumsum(0).tolist()
    made = expert_products(x, ends, stored, (a, b, 1.5), transposed=transposed)
    wanted = plain(x, counts, weight, a, b, 1.5)
    torch.testing.assert_close(made, wanted)
    chance = torch.randn_like(made)
    found = torch.autograd.grad(made, (x, a, b), chance)
    torch.testing.assert_close(found, torch.autograd.grad(wanted, (x, a, b), chance))


def test_the_frozen_product_alone_passes_the_gradient_on() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    weight = torch.randn(2, 5, 4)
    made = expert_products(x, [1, 3], weight, None, transposed=False)
    (found,) = torch.autograd.grad(made.sum(), x)
    torch.testing.assert_close(found, weight.sum(1)[[0, 1, 1]])


def adapted(family: str = "mixtral", dtype: str = "fp32", **config: Any) -> AdaptedModel:
    bundle = toy_experts_bundle(family, dtype, **config)
    model = CustomInjector(r=4, target_modules=("experts",)).inject(bundle)
    as_if_trained(model)
    return model


def gradients(
    model: AdaptedModel, layout: Layout = Layout.PADDED, *, checkpointing: bool = False
) -> dict[str, Tensor]:
    bundle, parameters = model.bundle, dict(model.trainable())
    batch = ToyEncoder().collate(rows(), layout, bundle.pad_id)

    def scores() -> Tensor:
        made = bundle.logits(bundle.hidden(batch.inputs).rows).float()
        mask = batch.inputs.get("attention_mask")
        return made if mask is None else made[mask.bool()]

    made = checkpoint(scores, use_reentrant=False) if checkpointing else scores()
    assert isinstance(made, Tensor)
    loss = made.log_softmax(-1).square().mean()
    return dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_peft(family: str, layout: Layout, checkpointing: bool) -> None:
    pytest.importorskip("peft")
    from lorafw.assembly.registry import Registry

    ours = adapted(family)
    kind: Any = Registry().load("injector", "peft")
    theirs = kind(r=4, target_modules=("experts",)).inject(toy_experts_bundle(family))
    as_if_trained(theirs)
    found = gradients(ours, layout, checkpointing=checkpointing)
    for name, wanted in gradients(theirs).items():
        off = distance(found[name], wanted)
        assert off <= 1e-5, f"{name} is off by {off:.1e}"


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_laid_end_to_end_give_the_logits_of_padded_ones(family: str) -> None:
    bundle = adapted(family).bundle
    padded, laid = (logits_of(bundle, rows(), layout) for layout in Layout)
    assert distance(laid, padded) <= 1e-5


def test_an_expert_without_tokens_has_a_gradient_of_zero() -> None:
    found = gradients(adapted("qwen3_moe", num_experts=64))
    assert all(gradient.isfinite().all() for gradient in found.values())
    downs = found["model.layers.0.mlp.experts.gate_up_proj.lora_A.weight"].view(64, -1)
    assert 0 < int(downs.any(dim=1).sum()) < 64


def test_a_bf16_base_does_not_swallow_a_small_update() -> None:
    """Folded into bf16 weights of 1, an update of 1e-3 would be rounded away."""
    weight = torch.tensor([[[1.0, -1.0]]]).bfloat16()
    x = torch.tensor([[1.0, 1.0]]).bfloat16()
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[1e-3]])
    made = expert_products(x, [1], weight, (a, b, 1.0), transposed=False)
    assert float(made) == pytest.approx(1e-3, rel=1e-2)
    folded = (weight.float() + b @ a).bfloat16()
    assert float(x @ folded[0].t()) == 0


@pytest.mark.parametrize("implementation", ["eager", "batched_mm", "grouped_mm"])
def test_every_implementation_of_the_base_takes_the_same_adapter(implementation: str) -> None:
    wanted = logits(adapted().bundle)
    model, base = adapted(), toy_experts_bundle()
    modules: list[Any] = [model.bundle.module, base.module]
    for module in modules:
        module.set_experts_implementation(implementation)
    assert distance(logits(model.bundle), wanted) <= 1e-6
    with model.disabled():
        assert torch.equal(logits(model.bundle), logits(base))


def test_experts_with_biases_gates_of_their_own_and_turned_weights_are_adapted() -> None:
    model = adapted("gpt_oss", num_local_experts=4)
    plain_model = toy_experts_bundle("gpt_oss", num_local_experts=4)
    plain_model.module.load_state_dict(dict(model.merged_state()), strict=False)
    assert off_by(plain_model, toy_experts_bundle("gpt_oss", num_local_experts=4)) > 0.01
    assert off_by(plain_model, model.bundle) <= 1e-5


def test_base_tensors_keep_their_names_and_their_identity() -> None:
    bundle = toy_experts_bundle()
    before = dict(bundle.module.named_parameters())
    CustomInjector(r=2, target_modules=("experts",)).inject(bundle)
    after = dict(bundle.module.named_parameters())
    assert all(after[name] is parameter for name, parameter in before.items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout": 0.1}, "injector.dropout: cannot be used on experts"),
        ({"use_dora": True}, "injector.use_dora: cannot be used on experts"),
        ({"init": "pissa"}, "injector.init: pissa is no start for experts in one tensor"),
    ],
)
def test_what_experts_cannot_take_is_refused(options: dict[str, Any], message: str) -> None:
    injector = CustomInjector.from_mapping(
        {"target_modules": ["experts"], **options}, where="injector"
    )
    with pytest.raises(AdapterError, match=message):
        injector.inject(toy_experts_bundle())


def test_a_quantised_base_is_refused() -> None:
    bundle = toy_experts_bundle()
    bundle.module.is_quantized = True  # type: ignore[assignment]
    with pytest.raises(AdapterError, match="the base is quantised"):
        CustomInjector(target_modules=("experts",)).inject(bundle)
