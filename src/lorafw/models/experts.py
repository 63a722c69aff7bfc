"""Experts of a layer that a family stores as one tensor for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import nn

_MARKS = ("is_transposed", "has_gate", "has_bias", "_apply_gate")
"""What transformers' experts interface (`use_experts_implementation`) gives a module."""


class ExpertSizes(NamedTuple):
    """A parameter that holds all experts of a layer.

    Attributes:
        experts: how many there are.
        inputs, outputs: features that go into each, and come out of it.
        transposed: whether it is [experts, in, out] rather than [experts, out, in].
    """

    experts: int
    inputs: int
    outputs: int
    transposed: bool


def stacked_experts(module: nn.Module) -> dict[str, nn.Module]:
    """The parameters that hold all experts of a layer, by full name, with the modules they are in.

    Only those of modules that transformers' experts interface calls, so that how they are used is
    known: `gate_up_proj` (or `up_proj`) and `down_proj` of Mixtral, Qwen-MoE, OLMoE and others.
    """
    return {
        f"{name}.{key}": part
        for name, part in module.named_modules()
        if all(hasattr(part, mark) for mark in _MARKS)
        for key, parameter in part.named_parameters(recurse=False)
        if parameter.ndim == 3
    }


def expert_sizes(module: nn.Module, name: str) -> ExpertSizes:
    """The sizes of one of `stacked_experts`, by its full name."""
    owner, _, key = name.rpartition(".")
    part = module.get_submodule(owner)
    experts, first, second = part.get_parameter(key).shape
    transposed = bool(part.is_transposed)
    inputs, outputs = (first, second) if transposed else (second, first)
    return ExpertSizes(experts, inputs, outputs, transposed)
