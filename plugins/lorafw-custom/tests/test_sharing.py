"""Layers that read the same tensor share one pass, and nothing but time depends on it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lorafw.testing.toys import toy_bundle
from lorafw_custom._linear import LoRALinear
from lorafw_custom._sharing import Siblings
from lorafw_custom.injector import CustomInjector


def family(outs: tuple[int, ...] = (5, 3, 3), **options: Any) -> list[LoRALinear]:
    """Siblings of fp64 whose updates are not zero."""
    torch.manual_seed(0)
    made = [LoRALinear(nn.Linear(6, out), rank=2, scaling=1.5, **options) for out in outs]
    siblings = Siblings(made)
    for layer in made:
        nn.init.normal_(layer.lora_B)
        layer.double().siblings = siblings
    return made


def loners(of: list[LoRALinear]) -> list[LoRALinear]:
    made = family(tuple(layer.out_features for layer in of))
    for layer in made:
        layer.siblings = None
    return made


def given() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(4, 6, dtype=torch.float64, requires_grad=True)


def gradients(layers: list[LoRALinear], x: Tensor, outs: list[Tensor]) -> tuple[Tensor, ...]:
    wanted = [x, *(p for layer in layers for p in (layer.lora_A, layer.lora_B))]
    total = sum((out * torch.linspace(-1, 2, out.shape[1])).sum() for out in outs)
    assert isinstance(total, Tensor)
    return torch.autograd.grad(total, wanted)


def test_who_is_given_the_same_tensor_is_found_out() -> None:
    bundle = toy_bundle()
    CustomInjector(r=2).inject(bundle)
    layers = {n: m for n, m in bundle.module.named_modules() if isinstance(m, LoRALinear)}
    groups: dict[int, list[str]] = {}
    for name, layer in layers.items():
        if layer.siblings is not None:
            groups.setdefault(id(layer.siblings), []).append(name.rpartition(".")[2])
    first = ["q_proj", "k_proj", "v_proj"], ["gate_proj", "up_proj"]
    assert list(groups.values()) == [*first, *first]


def test_outputs_and_gradients_are_those_of_each_alone() -> None:
    shared = family()
    alone, x = loners(shared), given()
    ours, theirs = [layer(x) for layer in shared], [layer(x) for layer in alone]
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients(shared, x, ours), gradients(alone, x, theirs))


def test_an_output_that_is_not_used_adds_nothing_to_the_gradients() -> None:
    shared = family()
    alone, x = loners(shared), given()
    ours, theirs = [layer(x) for layer in shared][:2], [layer(x) for layer in alone][:2]
    total = gradients(shared[:2], x, ours)
    torch.testing.assert_close(total, gradients(alone[:2], x, theirs))


@pytest.mark.parametrize("reentrant", [False, True])
def test_works_under_checkpointing(reentrant: bool) -> None:
    shared = family()
    alone, x = loners(shared), given()
    outs: Any = checkpoint(lambda x: tuple(e(x) for e in shared), x, use_reentrant=reentrant)
    total = sum((out * torch.linspace(-1, 2, out.shape[1])).sum() for out in outs)
    assert isinstance(total, Tensor)
    torch.autograd.backward(total)
    expected = gradients(alone, x, [layer(x) for layer in alone])
    found = [x.grad, *(p.grad for layer in shared for p in (layer.lora_A, layer.lora_B))]
    torch.testing.assert_close(found, list(expected))


def test_the_input_is_kept_once_and_nothing_else_of_its_size() -> None:
    shared, x = family(), given()
    saved: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outs = [layer(x) for layer in shared]
    kept = [t for t in saved if not isinstance(t, nn.Parameter)]
    assert [t.data_ptr() for t in kept].count(x.data_ptr()) == 1
    assert sum(t.numel() for t in kept) == 4 * (6 + 3 * 2)
    assert len(outs) == 3


def test_nothing_is_held_once_everybody_has_asked() -> None:
    shared, x = family(), given()
    outs = [layer(x) for layer in shared]
    assert vars(shared[0].siblings)["_made"] is None
    assert len(outs) == 3


def test_an_input_that_changed_in_between_is_noticed() -> None:
    shared = family()
    alone, x = loners(shared), given().detach()
    first = shared[0](x)
    torch.testing.assert_close(first, alone[0](x))
    x.mul_(2)
    torch.testing.assert_close(shared[1](x), alone[1](x))


def test_another_input_and_another_order_are_served_rightly() -> None:
    shared = family()
    alone, x = loners(shared), given()
    y = x.detach() + 1
    for index, value in ((2, x), (0, y), (0, x), (0, x), (1, y), (2, y)):
        torch.testing.assert_close(shared[index](value), alone[index](value))


def test_a_disabled_sibling_computes_for_itself() -> None:
    shared = family()
    alone, x = loners(shared), given()
    shared[1].enabled = alone[1].enabled = False
    for ours, theirs in zip(shared, alone, strict=True):
        torch.testing.assert_close(ours(x), theirs(x))


def test_dropout_and_partitioned_weights_are_not_shared() -> None:
    dropping, x = family(dropout=0.5), given()
    assert not dropping[0].can_share(x)
    assert dropping[0].eval().can_share(x)
    partitioned = family()[0]
    vars(partitioned.weight)["ds_id"] = 0
    assert not partitioned.can_share(x)


def test_without_gradients_everybody_computes_alone() -> None:
    shared, x = family(), given()
    with torch.inference_mode():
        out = shared[0](x)
    assert vars(shared[0].siblings)["_made"] is None
    torch.testing.assert_close(out, loners(shared)[0](x).detach())
