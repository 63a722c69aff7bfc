"""Starts that rows of data decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorafw.errors import AdapterError
from lorafw_peft._corda import corda_pairs
from lorafw_peft._eva import eva_downs
from lorafw_peft._lora_ga import lora_ga_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from lorafw.contracts import ModelBundle, Objective
    from lorafw.types import AdapterSpec, Batch


def row_values(
    start: str,
    bundle: ModelBundle,
    spec: AdapterSpec,
    layers: Mapping[str, Any],
    batches: Sequence[Batch],
    objective: Objective,
) -> dict[str, Tensor]:
    """Values of factors by canonical name, fp32 on the CPU; those not named stay as they are.

    Args:
        start: one of `lorafw_peft.starts.ROW_STARTS`.
        bundle: the model, its adapter in it and without effect.
        spec: of the adapter.
        layers: PEFT's layers by module.
        batches: rows of data.
        objective: what the model will be trained for.

    Raises:
        AdapterError: there are no rows, too few tokens reach a module, or a rank is too large.
    """
    if not batches:
        raise AdapterError(f"{start!r} needs rows of data, and there are none.")
    if start == "eva":
        found = eva_downs(bundle, spec, layers, batches)
    elif start == "lora_ga":
        found = dict(lora_ga_pairs(bundle, spec, layers, batches, objective))
    else:
        least = start.endswith("_kpm")
        found = dict(corda_pairs(bundle, spec, layers, batches, least=least))
    return {name: value.detach().float().cpu().contiguous() for name, value in found.items()}
