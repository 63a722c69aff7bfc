"""When a layer is computed by hand: where all that it passes by does nothing, and then alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.equivalence.layer_forms import adapted, far, form_bundle, gradients, inputs
from torch import Tensor

from lorafw.contracts import AdaptedModel
from lorafw.testing.values import distance
from lorafw.training.gradient_checkpointing import recomputed
from lorafw.types import Layout
from lorafw_custom.fast.layer import FastLayer

Calls = list[object]


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The layers that were computed by hand since injection, one entry per pass."""
    seen: Calls = []
    own = FastLayer.by_hand

    def noted(self: FastLayer, *given: Any) -> Tensor:
        seen.append(self)
        return own(self, *given)

    monkeypatch.setattr(FastLayer, "by_hand", noted)
    return seen


@pytest.fixture
def model(by_hand: Calls) -> AdaptedModel:
    made = adapted(form_bundle("llama"), fast="on", kernels="eager")
    by_hand.clear()  # what was proved
    return made


def rows(model: AdaptedModel, given: dict[str, Tensor] | None = None) -> Tensor:
    return model.bundle.hidden(given or inputs()).rows


@pytest.mark.parametrize("layout", list(Layout))
def test_training_goes_by_hand(model: AdaptedModel, by_hand: Calls, layout: Layout) -> None:
    made = rows(model, inputs(layout=layout))
    assert len(by_hand) == 2
    kinds = {type(node).__name__ for node in _nodes(made)}
    assert {"_AttentionBackward", "_MlpBackward"} <= kinds
    assert "SiluBackward0" not in kinds


def test_without_gradients_the_ordinary_way_is_gone(model: AdaptedModel, by_hand: Calls) -> None:
    wanted = rows(model).detach()
    by_hand.clear()
    with torch.no_grad():
        assert distance(rows(model), wanted) < 1e-6
    with torch.inference_mode():
        rows(model)
    assert not by_hand


def test_the_base_alone_is_computed_the_ordinary_way(model: AdaptedModel, by_hand: Calls) -> None:
    plain = form_bundle("llama").hidden(inputs()).rows
    with model.disabled():
        assert distance(rows(model), plain) < 1e-6
    assert not by_hand
    rows(model)
    assert len(by_hand) == 2


def test_under_autocast_the_ordinary_way_is_gone(model: AdaptedModel, by_hand: Calls) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rows(model)
    assert not by_hand


def test_with_a_cache_the_ordinary_way_is_gone(model: AdaptedModel, by_hand: Calls) -> None:
    module: Any = model.bundle.module
    ids = torch.tensor([[5, 6, 7]])
    first = module(input_ids=ids, use_cache=True)
    second = module(input_ids=ids[:, :1], past_key_values=first.past_key_values)
    whole = module(input_ids=torch.cat([ids, ids[:, :1]], 1), use_cache=False).logits
    assert distance(second.logits[:, -1].detach(), whole[:, -1].detach()) < 1e-5
    assert len(by_hand) == 2  # the whole


def test_generation_is_that_of_the_ordinary_path(model: AdaptedModel) -> None:
    plain = adapted(form_bundle("llama"), fast="off")
    texts = []
    for each in (model, plain):
        module: Any = each.bundle.module
        each.train(mode=False)
        texts.append(module.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=8, do_sample=False))
    assert torch.equal(*texts)


@pytest.mark.parametrize("where", ["self_attn", "self_attn.q_proj", "mlp.down_proj"])
def test_what_hooks_see_or_change_is_not_passed_by(
    model: AdaptedModel, by_hand: Calls, where: str
) -> None:
    seen: list[object] = []
    hook = (
        model.bundle.layers[0]
        .get_submodule(where)
        .register_forward_hook(lambda *given: seen.append(given))
    )
    rows(model)
    assert len(seen) == 1
    assert len(by_hand) == 1  # the other layer
    hook.remove()
    rows(model)
    assert len(by_hand) == 3


def test_biases_that_are_trained_beside_get_their_gradients() -> None:
    options: dict[str, Any] = {"bias": "lora_only", "target_modules": ["q_proj", "v_proj"]}
    fast, plain = (adapted(form_bundle("qwen2"), fast=way, **options) for way in ("auto", "off"))
    found, wanted = (gradients(each, inputs()) for each in (fast, plain))
    biases = [name for name in wanted if name.endswith(".bias")]
    assert len(biases) == 4
    assert far(found, wanted) <= 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("what", ["layers", "mlps"])
def test_what_is_computed_again_is_the_same_to_the_bit(what: str, dtype: torch.dtype) -> None:
    found = []
    for again in (False, True):
        model = adapted(form_bundle("qwen3", dtype), fast="on", kernels="eager")
        with recomputed(getattr(model.bundle, what) if again else ()):
            found.append(gradients(model, inputs()))
    assert all(torch.equal(found[1][name], tensor) for name, tensor in found[0].items())


def test_recomputed_mlps_keep_less(model: AdaptedModel) -> None:
    def kept() -> int:
        sizes: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            rows(model)
        return sum(sizes.values())

    everything = kept()
    with recomputed(model.bundle.mlps):
        gates_and_ups = 2 * sum(inputs()["cu_seqlens"][-1:].tolist()) * 2 * 72 * 4
        assert everything - kept() >= gates_and_ups


def test_layers_below_the_lowest_adapted_one_have_no_backward_pass(by_hand: Calls) -> None:
    bundle = form_bundle("llama", num_hidden_layers=4)
    model = adapted(bundle, fast="on", kernels="eager", layers_to_transform=[1, 3])
    by_hand.clear()
    kinds = [type(node).__name__ for node in _nodes(rows(model))]
    assert len(by_hand) == 4
    # The frozen layer in between sends gradients through, the one below is a constant.
    assert kinds.count("_AttentionBackward") == kinds.count("_MlpBackward") == 3


def test_the_proof_leaves_no_hook_behind(model: AdaptedModel) -> None:
    assert not any(layer._forward_hooks for layer in model.bundle.layers)


def test_the_same_tokens_laid_out_anew_are_seen(model: AdaptedModel) -> None:
    """The places of a micro-batch are remembered for its other layers, not for the next one."""
    plain = adapted(form_bundle("llama"), fast="off")
    for lengths in ((6, 2), (2, 6), (8,), (6, 2)):
        found, wanted = (rows(each, inputs(lengths)).detach() for each in (model, plain))
        assert distance(found, wanted) < 1e-5


def _nodes(of: Tensor) -> list[Any]:
    """All nodes of the backward graph."""
    found: dict[Any, None] = {}
    waiting = [of.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in found:
            found[node] = None
            waiting += [after for after, _ in node.next_functions]
    return list(found)
