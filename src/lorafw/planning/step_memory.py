"""The memory of one optimizer step, found by running it with numbers that take none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lorafw.contracts.injector import AdaptedModel, LoRAInjector
from lorafw.contracts.model import ModelBundle
from lorafw.contracts.objective import Objective
from lorafw.contracts.plan import TrainPlan
from lorafw.planning.shapes_only import ShapesOnly, modules_stay
from lorafw.training.allocator import KERNELS
from lorafw.training.gradient_checkpointing import recomputed, to_recompute
from lorafw.training.loss_module import LossModule
from lorafw.training.optimizer import build_optimizer
from lorafw.types import Batch

RUN = 2
"""Layers that are run; what a further one holds is what the last of them does."""

_COMPILED = (torch.bfloat16, torch.float16)
_KERNEL_BYTES = 1_000_000
_SCRATCH_BYTES = 20_000_000
"""What a kernel, and all other memory of the libraries, was seen to take: torch 2.13 on x86-64."""
_HOLES = 0.45
"""Share by which a heap that is not given back was seen to outgrow what comes and goes in it."""


@dataclass(frozen=True, slots=True)
class StepMemory:
    """What a lone process holds in a step, in bytes.

    Attributes:
        weights: the frozen base.
        adapter: what is trained.
        gradients: of that.
        optimizer: what the optimizer remembers.
        activations: what the forward pass leaves for the backward pass.
        head: the most that head, loss and backward pass hold for a moment beside all that.
        libraries: their code as far as it runs, scratch space, and compiled kernels that are kept.
        holes: room in the heap between what comes and goes, where it is not given back.
        layer: weights of the largest of the model's layers, all of its own included.
        parameters: how many numbers the model has, those that are trained among them.
        trainable: how many are trained.
    """

    weights: int
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    head: int
    libraries: int
    holes: int
    layer: int
    parameters: int
    trainable: int


def step_memory(
    bundle: ModelBundle,
    injector: LoRAInjector,
    objective: Objective,
    plan: TrainPlan,
    batch: Batch,
    passes: int = 1,
) -> StepMemory:
    """Run one micro-batch of a bundle that was built without weights; its module is changed.

    Only the first layers that hold something trained are run, for those above are like them.

    Args:
        bundle: as a builder gives it for the meta device.
        injector: what puts the adapter in.
        objective: what is minimised.
        plan: with optimizer and what is kept of a forward pass.
        batch: the largest micro-batch, on the CPU.
        passes: micro-batches of the run; each of them is taken to be of another size.
    """
    with ShapesOnly() as shapes, modules_stay():
        shapes.without_values(bundle.module)
        model = injector.inject(bundle)
        trained = model.trainable()
        own = {id(parameter) for parameter in trained.values()}
        every = list(bundle.module.parameters())
        adapter, optimizer = _bytes(trained.values()), _remembered(model, plan)
        layer = max((_bytes(part.parameters()) for part in bundle.layers), default=0)
        left, head = _pass(model, objective, plan, batch, shapes)
    return StepMemory(
        weights=_bytes(p for p in every if id(p) not in own),
        adapter=adapter,
        gradients=adapter,
        optimizer=optimizer,
        activations=left,
        head=head,
        libraries=_libraries(every, passes * len(shapes.products), plan),
        holes=int(_HOLES * (left + head)) if plan.allocator == "fast" else 0,
        layer=layer,
        parameters=sum(p.numel() for p in every),
        trainable=sum(p.numel() for p in trained.values()),
    )


def _pass(
    model: AdaptedModel, objective: Objective, plan: TrainPlan, batch: Batch, shapes: ShapesOnly
) -> tuple[int, int]:
    """What is alive between forward and backward pass, and the most beside that in either."""
    module = LossModule(model.bundle, objective, model.penalty).eval()
    model.train(mode=True)
    twice = to_recompute(model.bundle, plan.activations)
    totals = {unit: float(count) for unit, count in objective.counts(batch).items()}
    _give_gradients(model.trainable().values())
    missing = keep_layers(model.bundle, first_trained(model), RUN)
    behind = [_bytes_behind(layer, shapes) for layer in model.bundle.layers[:RUN]]
    shapes.bytes.restart()
    resting = shapes.bytes.now
    with recomputed(twice):
        loss: Any = module(batch.inputs, batch.labels, totals)
        left = shapes.bytes.now
        loss.backward()
    each = behind[-1][0] - behind[-2][0] if missing else 0
    return left - resting + missing * each, shapes.bytes.peak - left


def _bytes_behind(layer: nn.Module, shapes: ShapesOnly) -> list[int]:
    """Gets how many bytes are alive whenever a layer has been computed."""
    found: list[int] = []
    layer.register_forward_hook(lambda *_: found.append(shapes.bytes.now))
    return found


def first_trained(model: AdaptedModel) -> int:
    """The number of the lowest layer in which something is trained; 0 if something else is, too.

    Layers below it leave nothing for a backward pass, those above it do, trained or not.
    """
    trained = {id(parameter) for parameter in model.trainable().values()}
    held = [trained & {id(p) for p in layer.parameters()} for layer in model.bundle.layers]
    if trained.difference(*held):
        return 0
    return next(number for number, own in enumerate(held) if own)


def keep_layers(bundle: ModelBundle, first: int, count: int) -> int:
    """Take all layers but some out of the list that holds them; how many above those are gone.

    Args:
        bundle: whose module is changed.
        first: the first of those that stay, unless there are too few above it.
        count: how many stay.
    """
    layers = {id(layer) for layer in bundle.layers}
    lists = [part for part in bundle.module.modules() if isinstance(part, nn.ModuleList)]
    gone = 0
    for part in lists:
        if len(part) > count and all(id(layer) in layers for layer in part):
            start = min(first, len(part) - count)
            gone += len(part) - start - count
            del part[start + count :], part[:start]
    return gone


def _remembered(model: AdaptedModel, plan: TrainPlan) -> int:
    """Let the optimizer take a step, and tell what it remembers since."""
    parameters = dict(model.trainable())
    optimizer = build_optimizer(plan, parameters, model.learning_rate_scales())
    _give_gradients(parameters.values())
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    held = (value for state in optimizer.state.values() for value in state.values())
    return _bytes(value for value in held if isinstance(value, Tensor))


def _libraries(parameters: Iterable[nn.Parameter], products: int, plan: TrainPlan) -> int:
    """What is taken beside tensors; on a CPU, oneDNN compiles products that are not in fp32."""
    compiled = any(p.dtype in _COMPILED and p.device.type == "cpu" for p in parameters)
    kernels = min(KERNELS[plan.allocator], products) if compiled else 0
    return _SCRATCH_BYTES + kernels * _KERNEL_BYTES


def _give_gradients(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Of every storage once: tied weights are one."""
    storages: Mapping[int, int] = {
        storage._cdata: storage.nbytes()  # noqa: SLF001 - who owns the memory
        for storage in (tensor.untyped_storage() for tensor in tensors)
    }
    return sum(storages.values())
