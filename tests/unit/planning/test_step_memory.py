"""What is counted without values is what is counted with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from lorafw.assembly.registry import Registry
from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import ModelBundle, TrainPlan
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.planning.live_bytes import LiveBytes
from lorafw.planning.step_memory import StepMemory, step_memory
from lorafw.testing.toys import ToyEncoder, toy_llama, toy_rows, toy_tokenizer
from lorafw.training.gradient_checkpointing import recomputed, to_recompute
from lorafw.training.loss_module import LossModule
from lorafw.types import Batch, Layout

WIDE = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 4}


class Counting(TorchDispatchMode):
    """Counts what real operations hold."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = LiveBytes()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_iter(made):
            if isinstance(tensor, Tensor):
                self.bytes.note(tensor)
        return made


def injector(name: str, **options: Any) -> Any:
    part: Any = Registry().load("injector", name)
    return part(r=4, **options)


def batch_of(bundle: ModelBundle, layout: Layout) -> Batch:
    return ToyEncoder().collate(toy_rows(8, seed=2), layout, bundle.pad_id)


def bundle_on(device: str) -> ModelBundle:
    with torch.device(device):
        model = toy_llama(**WIDE)
    return TransformersBundle(model, toy_tokenizer(), base="")


def counted(name: str, layout: Layout, *, activations: Any, **options: Any) -> tuple[int, int]:
    """What a real pass leaves before the backward pass, and the most beside that."""
    bundle = bundle_on("cpu")
    model, batch = injector(name, **options).inject(bundle), batch_of(bundle, layout)
    for parameter in model.trainable().values():
        parameter.grad = torch.zeros_like(parameter)
    module = LossModule(bundle, CausalLM()).eval()
    with Counting() as held, recomputed(to_recompute(bundle, activations)):
        for tensor in (*module.parameters(), *(p.grad for p in model.trainable().values())):
            held.bytes.note(tensor)
        resting = held.bytes.now
        loss = module(batch.inputs, batch.labels, {"targets": 100.0})
        left = held.bytes.now
        loss.backward()
    return left - resting, held.bytes.peak - left


def foretold(name: str, layout: Layout, *, activations: Any = "keep", **options: Any) -> StepMemory:
    bundle = bundle_on("meta")
    plan = TrainPlan(activations=activations)
    return step_memory(
        bundle, injector(name, **options), CausalLM(), plan, batch_of(bundle, layout)
    )


@pytest.mark.parametrize("activations", ["keep", "recompute-mlp", "checkpoint"])
@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("name", ["custom", "peft"])
def test_activations_are_those_of_a_real_pass(name: str, layout: Layout, activations: Any) -> None:
    left, head = counted(name, layout, activations=activations)
    found = foretold(name, layout, activations=activations)
    assert found.activations == pytest.approx(left, rel=0.05)
    assert found.activations + found.head == pytest.approx(left + head, rel=0.05)


def test_what_rests_is_known_exactly() -> None:
    found = foretold("custom", Layout.SEGMENTS)
    real = bundle_on("cpu")
    weights = sum(p.nbytes for p in real.module.parameters())
    trained = sum(p.numel() for p in injector("custom").inject(real).trainable().values())
    assert found.weights == weights
    assert (found.trainable, found.adapter, found.gradients) == (trained, *[4 * trained] * 2)
    assert 8 * trained <= found.optimizer < 8.5 * trained
    assert found.parameters == weights // 4 + trained


@pytest.mark.parametrize("layers", [[1], [2, 3], [3]], ids=str)
def test_layers_below_the_lowest_adapted_one_leave_nothing(layers: list[int]) -> None:
    chosen: dict[str, Any] = {"layers_to_transform": layers}
    left, head = counted("peft", Layout.SEGMENTS, activations="keep", **chosen)
    found = foretold("peft", Layout.SEGMENTS, **chosen)
    assert found.activations == pytest.approx(left, rel=0.1)
    assert found.activations + found.head == pytest.approx(left + head, rel=0.1)


def test_each_policy_leaves_less_than_the_one_before() -> None:
    ways: tuple[Any, ...] = ("keep", "recompute-mlp", "checkpoint")
    found = [foretold("peft", Layout.SEGMENTS, activations=way).activations for way in ways]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 3
