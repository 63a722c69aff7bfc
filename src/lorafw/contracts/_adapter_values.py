"""Values of adapter parameters: where fresh ones come from and how given ones are written."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Mapping


def fresh_values(parameters: Mapping[str, nn.Parameter], seed: int) -> dict[str, Tensor]:
    """Start values of a LoRA adapter: A Kaiming-uniform, B zero (arXiv:2106.09685, section 4.1).

    Of an embedding A is zero and B normal, as in PEFT. What starts as something of the base does
    (DoRA's magnitudes) is no matter of random numbers: see `AdaptedModel.base_values`.

    Each tensor has a generator of its own, seeded from (seed, name), so that the values do not
    depend on the injector, on the order of modules or on which other modules are adapted.
    """
    return {name: _fresh(name, p.shape, seed) for name, p in parameters.items()}


def _fresh(name: str, shape: torch.Size, seed: int) -> Tensor:
    value = torch.zeros(shape)
    if name.endswith(".lora_A.weight"):
        nn.init.kaiming_uniform_(value, a=math.sqrt(5), generator=named_generator(name, seed))
    elif name.endswith(".lora_embedding_B"):
        nn.init.normal_(value, generator=named_generator(name, seed))
    return value


def named_generator(name: str, seed: int) -> torch.Generator:
    """Random numbers of one tensor: they follow from its name and the seed, and nothing else."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def copy_values(parameters: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Copy values into parameters of the same names and shapes; all or nothing.

    Raises:
        AdapterError: a name is missing or too many, or a shape differs.
    """
    check_shapes(shapes_of(parameters), shapes_of(values))
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    """The shape of each, by name."""
    return {name: tensor.shape for name, tensor in tensors.items()}


def check_shapes(wanted: Mapping[str, torch.Size], given: Mapping[str, torch.Size]) -> None:
    """See that there is one value of the right shape for every parameter.

    Raises:
        AdapterError: a name is missing or too many, or a shape differs.
    """
    for fault, names in (
        ("the adapter given lacks", wanted.keys() - given.keys()),
        ("the model has no place for", given.keys() - wanted.keys()),
    ):
        if names:
            raise AdapterError(f"{fault} {len(names)} tensors, first {min(names)}.")
    for name, shape in wanted.items():
        if given[name] != shape:
            have, want = list(given[name]), list(shape)
            raise AdapterError(f"{name} has shape {have}, the model needs {want}.")
