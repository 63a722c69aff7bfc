"""LoRA-GA: the factors start along the gradient that full fine-tuning would begin with."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from lorafw.errors import AdapterError
from lorafw_peft._looking import in_turns
from lorafw_peft._lora_layers import factors_of
from lorafw_peft._starts import base_weight, low_rank_svd

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from lorafw.contracts import ModelBundle, Objective
    from lorafw.types import AdapterSpec, Batch

_GAMMA = 16
_SWEEPS = 4


def lora_ga_pairs(
    bundle: ModelBundle,
    spec: AdapterSpec,
    layers: Mapping[str, Any],
    batches: Sequence[Batch],
    objective: Objective,
) -> Iterator[tuple[str, Tensor]]:
    """A and B of every module by canonical name (LoRA-GA, arXiv:2407.05000, as PEFT scales it).

    Gradients of the mean loss of all rows with respect to W are gathered for as many layers at a
    time as there is room for.
    """
    sizes = {name: base_weight(layer).numel() for name, layer in layers.items()}
    totals = _totals(batches, objective)
    for turn in in_turns(sizes):
        sums = {name: torch.zeros_like(base_weight(layers[name])) for name in turn}
        ups = [factors_of(layers[name])[1] for name in turn]
        for batch in batches:
            with _gathering({name: layers[name] for name in turn}, sums):
                loss = objective.loss(bundle, batch, totals)
                torch.autograd.grad(loss, ups, allow_unused=True)
        for name in turn:
            yield from zip(spec.pair_of(name), _pair(sums.pop(name), spec, name), strict=True)


def _totals(batches: Sequence[Batch], objective: Objective) -> dict[str, float]:
    counts = [objective.counts(batch) for batch in batches]
    return {unit: float(sum(count[unit] for count in counts)) for unit in objective.units}


@contextmanager
def _gathering(layers: Mapping[str, Any], sums: Mapping[str, Tensor]) -> Iterator[None]:
    """While open, a backward pass adds gᵀ·x to the sum of every layer: the gradient of W.

    So no weight needs to want a gradient, and a quantised one does as well as any.
    """

    def gather(total: Tensor) -> Any:
        def hook(_layer: Any, given: tuple[Tensor, ...], result: Tensor) -> None:
            rows = given[0].detach().reshape(-1, total.shape[1])

            def add(gradient: Tensor) -> None:
                total.add_(gradient.reshape(-1, total.shape[0]).float().T @ rows.float())

            if result.requires_grad:
                result.register_hook(add)  # type: ignore[no-untyped-call]

        return hook

    handles = [layer.register_forward_hook(gather(sums[n])) for n, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _pair(gradient: Tensor, spec: AdapterSpec, module: str) -> tuple[Tensor, Tensor]:
    """A: the first r right singular vectors; B: the next r left ones by their values, scaled."""
    rank, room = spec.rank_of(module), min(gradient.shape)
    if 2 * rank > room:
        fault = f"'lora_ga' needs a rank of at most {room // 2} here, not {rank}."
        raise AdapterError(fault, where="injector.r")
    left, values, right = low_rank_svd(gradient, min(4 * rank, room), _SWEEPS)
    second = slice(rank, 2 * rank)
    stable = len(gradient) ** 0.25 / _GAMMA**0.5
    return right[:rank], left[:, second] * values[second] * stable
