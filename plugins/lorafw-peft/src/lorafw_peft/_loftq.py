"""LoftQ: the factors start as the best correction of what quantisation did to a weight."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lorafw.errors import AdapterError, ModelError
from lorafw.models import folder as folders
from lorafw.models.dense import QUANTISED
from lorafw.models.stored_weights import StoredWeights
from lorafw_peft._starts import base_weight, check_rank

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from lorafw.contracts import ModelBundle
    from lorafw.types import AdapterSpec

_WHERE = "injector.init"


@torch.no_grad()
def loftq_pairs(
    bundle: ModelBundle, spec: AdapterSpec, layers: Mapping[str, Any]
) -> Iterator[tuple[str, Tensor]]:
    """A and B of every quantised module, by canonical name (LoftQ, arXiv:2310.08659, one step).

    s·B·A is the best approximation of rank r to W - Q. Q stays as it is, so the alternating steps
    of the paper, which would quantise anew, have nothing to do. W is read from the model's files,
    one layer at a time.

    Raises:
        AdapterError: nothing is quantised, or W is not in the model's files.
    """
    quantised = {name: layer for name, layer in layers.items() if _is_quantised(layer)}
    if not quantised:
        mend = "Set model.quantize: nf4, or choose another start."
        raise AdapterError("'loftq' is for quantised weights.", where=_WHERE, mend=mend)
    files = _files(bundle)
    for module, layer in quantised.items():
        held = base_weight(layer)
        rank = spec.rank_of(module)
        check_rank("loftq", rank, held)
        error = _stored(files, module, held) - held
        pair = _factors(error, rank, spec.scaling_of(module))
        yield from zip(spec.pair_of(module), pair, strict=True)


def _is_quantised(layer: Any) -> bool:
    return type(layer.get_base_layer().weight).__name__ in QUANTISED


def _files(bundle: ModelBundle) -> StoredWeights:
    """The files the base was loaded from, if they are still what they were."""
    path = str(getattr(bundle.module, "name_or_path", ""))
    folder, cause = Path(path), None
    try:
        if path and folder.is_dir() and folders.identity(folder) == bundle.base:
            return StoredWeights(folder)
    except ModelError as error:
        cause = error
    fault = "'loftq' needs the weights as they were before quantisation, and finds no such files."
    mend = "Give model.path a folder with safetensors files, or choose another start."
    raise AdapterError(fault, where=_WHERE, mend=mend) from cause


def _stored(files: StoredWeights, module: str, held: Tensor) -> Tensor:
    """W as [out, in]; a file may hold it turned, as GPT-2's do: the one nearer to Q is meant."""
    weight = files.weight(module)
    turns = [] if weight is None else [weight.to(held), weight.T.to(held)]
    fitting = [turn for turn in turns if turn.shape == held.shape]
    if not fitting:
        fault = f"'loftq' needs {module}.weight as it was, which the model's files do not hold."
        raise AdapterError(fault, where=_WHERE, mend="Choose another start.")
    return min(fitting, key=lambda turn: float(torch.dist(turn, held)))


def _factors(error: Tensor, rank: int, scaling: float) -> tuple[Tensor, Tensor]:
    left, values, right = torch.linalg.svd(error, full_matrices=False)
    roots = (values[:rank] / scaling).sqrt()
    return roots[:, None] * right[:rank], left[:, :rank] * roots
