"""What training needs of the network: gradients, segments, routers, parameters without tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import AdaptedModel, ModelRequest
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import ToyEncoder, toy_rows
from lorafw.testing.values import as_if_trained, equal
from lorafw.training.gradient_checkpointing import recomputed
from lorafw.types import Capability, Encoded, Layout, Task
from lorafw_minimind._balance import BalanceLoss
from lorafw_minimind._experts import Router
from lorafw_minimind.generations import Generation
from lorafw_minimind.model import MiniMind

ON_CPU = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
ROWS = toy_rows(5, seed=1, longest=16)
EVERY = pytest.mark.parametrize("generation", list(Generation))


def adapted(builder: MiniMind) -> AdaptedModel:
    model = ToyInjector(r=2).inject(builder.build(ON_CPU, builder.tokenizer()))
    as_if_trained(model)
    return model


def update(
    model: AdaptedModel, batches: Sequence[Sequence[Encoded]], layout: Layout
) -> Mapping[str, Tensor]:
    """The loss of all batches together, and its gradients."""
    objective, encoder = CausalLM(), ToyEncoder()
    made = [encoder.collate(rows, layout, model.bundle.pad_id) for rows in batches]
    totals = {"targets": float(sum(objective.counts(batch)["targets"] for batch in made))}
    losses = [objective.loss(model.bundle, batch, totals) for batch in made]
    parameters = dict(model.trainable())
    gradients = torch.autograd.grad(sum(losses, torch.tensor(0.0)), list(parameters.values()))
    loss = torch.stack(losses).sum().detach()
    return {"loss": loss, **dict(zip(parameters, gradients, strict=True))}


def apart(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> float:
    return max(
        float((found[name] - value).abs().max() / value.abs().max().clamp_min(1e-3))
        for name, value in wanted.items()
    )


@EVERY
@pytest.mark.parametrize("experts", [False, True], ids=["dense", "moe"])
def test_loss_and_gradients_do_not_depend_on_the_layout(
    tiny: Callable[..., MiniMind], generation: Generation, experts: bool
) -> None:
    # A balance over the whole batch cannot keep this promise, and says so; see below.
    options: dict[str, Any] = {"lora_targets": "all-linear"}
    if generation is Generation.MINIMIND3:
        options["aux_loss_coef"] = 0.0
    model = adapted(tiny(generation, experts=experts, **options))
    alone = update(model, [[row] for row in ROWS], Layout.PADDED)
    for layout in Layout:
        assert apart(update(model, [ROWS], layout), alone) < 1e-5
        assert apart(update(model, [ROWS[:2], ROWS[2:]], layout), alone) < 1e-5


@EVERY
def test_only_a_balance_over_the_batch_depends_on_the_split(
    tiny: Callable[..., MiniMind], generation: Generation
) -> None:
    for coefficient in (None, 0.0):
        builder = tiny(generation, experts=True, aux_loss_coef=coefficient)
        depends = Capability.SPLIT_DEPENDENT in adapted(builder).bundle.capabilities
        assert depends is (generation is Generation.MINIMIND3 and coefficient is None)


@EVERY
def test_the_balance_loss_reaches_the_adapter(
    tiny: Callable[..., MiniMind], generation: Generation
) -> None:
    losses = []
    for coefficient in (0.0, 1.0):
        model = adapted(tiny(generation, experts=True, aux_loss_coef=coefficient))
        losses.append(update(model, [ROWS], Layout.SEGMENTS))
    without, with_it = losses
    assert float(with_it["loss"] - without["loss"]) > 1.0  # two layers, each at least 1 if even
    assert apart(with_it, without) > 1e-3


def test_a_dense_model_has_no_balance_loss(tiny: Callable[..., MiniMind]) -> None:
    batch = ToyEncoder().collate(ROWS, Layout.SEGMENTS, 0)
    assert adapted(tiny(Generation.LMCONFIG)).bundle.hidden(batch.inputs).auxiliary is None


def test_experts_without_tokens_get_gradients_of_zero(tiny: Callable[..., MiniMind]) -> None:
    """DistributedDataParallel waits for the gradient of every parameter on every rank."""
    builder = tiny(Generation.MINIMIND3, experts=True, lora_targets="all-linear")
    model = adapted(builder)
    row = [Encoded((5, 6), (5, 6))]  # two tokens cannot reach four experts
    found = update(model, [row], Layout.SEGMENTS)
    experts = [value for name, value in found.items() if ".experts." in name]
    assert len(experts) == 2 * 4 * 3 * 2
    assert any(not value.any() for value in experts)
    assert any(value.any() for value in experts)


def test_upstreams_targets_are_the_square_linears(tiny: Callable[..., MiniMind]) -> None:
    square = adapted(tiny(Generation.LMCONFIG, experts=True)).spec.targets
    assert {name.rpartition(".")[2] for name in square} == {"q_proj", "o_proj"}
    builder = tiny(Generation.LMCONFIG, experts=True, lora_targets="all-linear")
    model = adapted(builder)
    assert len(model.spec.targets) == 2 * (4 + 3 * 5)
    assert not any(isinstance(part, nn.Linear) for part in routers(model.bundle.module))


def routers(module: nn.Module) -> Iterator[nn.Module]:
    return (part for part in module.modules() if isinstance(part, Router))


def balance(*, per_sequence: bool) -> Tensor:
    """Three sequences of 2, 0 and 1 tokens, two experts, one chosen."""
    chances = torch.tensor([[0.75, 0.25], [0.25, 0.75], [0.75, 0.25]])
    inputs = {"input_ids": torch.arange(3), "cu_seqlens": torch.tensor([0, 2, 2, 3])}
    return BalanceLoss(2.0, 1, per_sequence)([chances, chances], inputs)


def test_balance_by_hand() -> None:
    # Even: f = 1, 1 and P sums to 1. One token: f = 2, 0 and P = 0.75. Twice for two layers.
    assert balance(per_sequence=True).tolist() == pytest.approx([4.0, 4.0, 6.0])
    # f = 4/3, 2/3 and P = 7/12, 5/12.
    assert balance(per_sequence=False).tolist() == pytest.approx([4 * (28 + 10) / 36] * 3)


def test_padding_takes_no_part_in_the_balance() -> None:
    chances = torch.tensor([[0.75, 0.25], [0.25, 0.75], [0.75, 0.25], [0.1, 0.9]])
    mask = torch.tensor([[1, 1], [1, 0]])
    inputs = {"input_ids": mask, "attention_mask": mask}
    found = BalanceLoss(1.0, 1, per_sequence=True)([chances], inputs)
    assert found.tolist() == [[1.0, 1.0], [1.5, 0.0]]


@EVERY
def test_routers_are_heard_once_when_layers_are_computed_twice(
    tiny: Callable[..., MiniMind], generation: Generation
) -> None:
    model = adapted(tiny(generation, experts=True))
    once = update(model, [ROWS], Layout.PADDED)
    with recomputed(model.bundle.layers):
        twice = update(model, [ROWS], Layout.PADDED)
    assert equal(twice, once)
