"""MiniMind's own LoRA files: `.pth` tables of A and B, whose product is added as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.errors import AdapterError, ExportError
from lorafw.types import AdapterSpec, AdapterState, adapted_modules, canonical_pair
from lorafw_minimind.generations import Generation, canonical_name, native_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import torch
    from torch import Tensor

    from lorafw_minimind.architecture import Architecture

_SUFFIXES = (".lora.A.weight", ".lora.B.weight")


def read_lora_pth(file: Path, form: Architecture) -> AdapterState:
    """Read a LoRA file of upstream's code, for a base of the same generation.

    Upstream adds B·A without a factor, so alpha is the rank, which is the number of A's rows.

    Args:
        file: what upstream's `save_lora` wrote.
        form: of the base model, from `MiniMind.architecture()`.

    Raises:
        AdapterError: the file is damaged, of another generation, or lacks a tensor.
    """
    from lorafw_minimind._permutation import to_halves
    from lorafw_minimind._tensors import plain_tensors

    tensors: dict[str, Tensor] = {}
    for module, pair in _pairs(plain_tensors(file, AdapterError), file).items():
        name = _canonical_module(module, form.generation, file)
        down, up = (tensor.float() for tensor in pair)
        tensors |= zip(canonical_pair(name), (down, to_halves(name, up, form)), strict=True)
    ranks = {name: len(tensors[canonical_pair(name)[0]]) for name in adapted_modules(tensors)}
    rank = max(ranks.values())
    other = {name: found for name, found in ranks.items() if found != rank}
    alphas = {name: float(found) for name, found in other.items()}
    spec = AdapterSpec(rank, float(rank), tuple(ranks), rank_pattern=other, alpha_pattern=alphas)
    return AdapterState(spec, tensors)


def lora_tensors(
    state: AdapterState, form: Architecture, targets: Iterable[str], dtype: torch.dtype
) -> dict[str, Tensor]:
    """What upstream's `load_lora` needs to compute what the adapter computes.

    The scaling is folded into B. Upstream loads A and B for each of its targets and of one rank:
    targets without an adapter get zeros, and smaller ranks are filled up with zeros.

    Args:
        state: the adapter.
        form: of the base model.
        targets: upstream's targets, the square linears.
        dtype: of the file.

    Raises:
        ExportError: a module is adapted that upstream does not adapt, or a number does not fit
            into `dtype`.
    """
    targets = tuple(targets)
    if odd := sorted(set(state.spec.targets) - set(targets)):
        mend = "Train with model.lora_targets: square, or use exporter adapter or merged."
        raise ExportError(f"upstream's code does not adapt {odd[0]}.", mend=mend)
    rank = max(map(state.spec.rank_of, state.spec.targets))
    tensors: dict[str, Tensor] = {}
    for module in targets:
        names = (native_name(module, form.generation) + suffix for suffix in _SUFFIXES)
        pair = _scaled_pair(module, state, form, rank)
        tensors |= {n: narrowed(n, t, dtype) for n, t in zip(names, pair, strict=True)}
    return tensors


def narrowed(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A finite tensor in another dtype.

    Raises:
        ExportError: it is not finite, or no longer.
    """
    if not tensor.isfinite().all():
        raise ExportError(f"{name} holds NaN or infinity.", mend="Train with a lower rate.")
    narrow = tensor.to(dtype).contiguous()
    if not narrow.isfinite().all():
        mend = "Write it with dtype: fp32."
        raise ExportError(f"{name} holds numbers too large for {dtype}.", mend=mend)
    return narrow


def _scaled_pair(
    module: str, state: AdapterState, form: Architecture, rank: int
) -> tuple[Tensor, Tensor]:
    """A and B of one module, fp32, of the given rank and in the generation's order of rows."""
    import torch
    from torch.nn import functional as F

    from lorafw_minimind._permutation import to_neighbours

    if module not in state.spec.targets:
        return torch.zeros(rank, form.hidden_size), torch.zeros(form.hidden_size, rank)
    down, up = (state.tensors[name].float() for name in canonical_pair(module))
    up = to_neighbours(module, up, form) * state.spec.scaling_of(module)
    missing = rank - len(down)
    return F.pad(down, (0, 0, 0, missing)), F.pad(up, (0, missing))


def _pairs(stored: Mapping[str, Tensor], file: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """A and B by the module's own name."""
    for name, tensor in stored.items():
        if not name.endswith(_SUFFIXES) or tensor.ndim != 2:
            fault = f"holds {name} of shape {list(tensor.shape)}, which is no part of LoRA."
            raise AdapterError(fault, where=str(file))
    modules = dict.fromkeys(name.rpartition(".lora.")[0] for name in stored)
    for name in (module + suffix for module in modules for suffix in _SUFFIXES):
        if name not in stored:
            raise AdapterError(f"lacks {name}.", where=str(file))
    if not modules:
        raise AdapterError("holds no tensor.", where=str(file))
    pairs = {m: (stored[m + _SUFFIXES[0]], stored[m + _SUFFIXES[1]]) for m in modules}
    for module, (down, up) in pairs.items():
        if down.shape[0] != up.shape[1] or not (down.isfinite().all() and up.isfinite().all()):
            fault = f"A and B of {module} do not fit each other, or are not finite."
            raise AdapterError(fault, where=str(file))
    return pairs


def _canonical_module(module: str, generation: Generation, file: Path) -> str:
    first = module.startswith("layers.")
    if first is not (generation is Generation.LMCONFIG):
        fault = f"{module} is no name of generation {generation}, which the base is of."
        raise AdapterError(fault, where=str(file), mend="Give the base it was trained on.")
    return canonical_name(module, generation)
