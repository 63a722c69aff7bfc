"""Numbers for trying parts on: adapters as if trained, logits, and how near two tensors are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from lorafw.contracts._adapter_values import named_generator
from lorafw.testing.toys import ToyEncoder
from lorafw.types import Encoded, Layout, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lorafw.contracts import AdaptedModel, ModelBundle


def as_if_trained(model: AdaptedModel, seed: int = 0) -> None:
    """Load values that training might have led to, so that the adapter acts on every output."""
    model.load_state(trained_values(model.trainable(), seed))


def trained_values(parameters: Mapping[str, nn.Parameter], seed: int = 0) -> dict[str, Tensor]:
    """Values some way off from where the parameters are; fp32, on the CPU.

    How far follows from seed and name. Zeros, as in LoRA's B, become numbers around 0.1; others,
    wherever a method starts from, change by about a tenth, DoRA's lengths and IA3's ones too.
    """
    return {name: _moved(name, parameter, seed) for name, parameter in parameters.items()}


def _moved(name: str, parameter: nn.Parameter, seed: int) -> Tensor:
    start = parameter.detach().float().cpu()
    noise = torch.randn(start.shape, generator=named_generator(name, seed)) * 0.1
    return start * (1 + noise) if start.any() else noise


@torch.no_grad()
def logits_of(
    bundle: ModelBundle, rows: Sequence[Encoded], layout: Layout = Layout.PADDED
) -> Tensor:
    """Logits of all tokens of some rows, padding left out: fp32 [tokens, vocab] on the CPU.

    Of a classifier, the scores of the rows: [rows, classes].
    """
    device = next(bundle.module.parameters()).device
    batch = ToyEncoder().collate(rows, layout, bundle.pad_id).to(device)
    logits = bundle.logits(bundle.hidden(batch.inputs).rows).float().cpu()
    mask = batch.inputs.get("attention_mask")
    if mask is None or bundle.task is Task.CLASSIFICATION:
        return logits
    return logits[mask.bool().cpu()]


def distance(found: Tensor, wanted: Tensor) -> float:
    """The norm of the difference over the norm of what is wanted; absolute where that is zero."""
    difference = (found.double() - wanted.double()).norm()
    norm = wanted.double().norm()
    return float(difference / norm if norm > 0 else difference)


def equal(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether nested mappings of tensors have the same names and are equal bit for bit."""
    return found.keys() == wanted.keys() and all(
        equal(found[name], value) if isinstance(value, Mapping) else torch.equal(found[name], value)
        for name, value in wanted.items()
    )
