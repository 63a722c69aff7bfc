"""Experts that are one tensor: the plain reference, and one rank of a comparison.

Usage: python -m tests.equivalence.expert_layers OUTPUT ENGINE/INJECTOR…
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from tests.equivalence import reference, worker
from tests.equivalence.cases import Case
from torch import Tensor, nn

from lorafw.adapters.live.expert_factors import by_expert
from lorafw.assembly.registry import Registry
from lorafw.contracts import AdaptedModel
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.testing.toy_experts import toy_experts_model
from lorafw.testing.toys import toy_tokenizer
from lorafw.types import canonical_pair

EXPERTS = 12
"""So many that in every micro-batch some are sent nothing."""
SCALING = 16 / reference.RANK
_CUTS = {"custom": ("segments", 1), "peft": ("padded", 60)}


def case_of(engine: str, injector: str) -> Case:
    """One layout and budget for each injector."""
    return Case(engine, injector, *_CUTS[injector])


def toy() -> Any:
    """The base model, its experts computed by the plain loop of its family."""
    model = toy_experts_model("qwen3_moe", num_experts=EXPERTS)
    model.set_experts_implementation("eager")
    return model.eval().requires_grad_(requires_grad=False)


def expected() -> reference.Trace:
    """Every weight made anew as W + s * B A, in fp32, where nothing is lost by that."""
    model = toy()
    names = [name for name, p in model.named_parameters() if p.ndim == 3]
    factors = _factors(model, names)
    parameters = {name: nn.Parameter(value) for name, value in start_values(factors).items()}

    def forward(**inputs: Tensor) -> Any:
        weights = {}
        for name in names:
            a, b = (parameters[key] for key in canonical_pair(name))
            down, up = by_expert(a, b, EXPERTS)
            weights[name] = model.get_parameter(name) + SCALING * up @ down
        return torch.func.functional_call(model, weights, kwargs=inputs, tie_weights=False)

    return reference.follow(forward, parameters)


def _factors(model: nn.Module, names: list[str]) -> dict[str, nn.Parameter]:
    rows, made = reference.RANK * EXPERTS, {}
    for name in names:
        _, out, wide = model.get_parameter(name).shape
        a, b = canonical_pair(name)
        made[a] = nn.Parameter(torch.empty(rows, wide))
        made[b] = nn.Parameter(torch.empty(out, rows))
    return made


def start_values(factors: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """Where training starts: as for other modules."""
    found: dict[str, Tensor] = reference.start_values(factors)
    return found


def adapted(injector: str) -> AdaptedModel:
    """The same through lorafw."""
    bundle = TransformersBundle(toy(), toy_tokenizer(), base="toy")
    part: Any = Registry().load("injector", injector)
    model: AdaptedModel = part(r=reference.RANK, target_modules=("experts",)).inject(bundle)
    model.load_state(start_values(dict(model.trainable())))
    return model


def main(output: Path, *names: str) -> None:
    """Train under some engines and injectors, one after another, in this process."""
    for name in names:
        engine, injector = name.split("/")
        case = case_of(engine, injector)
        trace = worker.train(adapted(injector), case)
        if os.environ.get("RANK", "0") == "0":
            worker.save(trace, output / f"{case.name}.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), *sys.argv[2:])
