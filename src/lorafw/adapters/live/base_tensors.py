"""The base's own tensors, as its checkpoint names them, with the update folded in."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from lorafw.errors import AdapterError
from lorafw.models.dense import QUANTISED, dense_weight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from torch import Tensor, nn

    from lorafw.contracts.injector import AdaptedModel
    from lorafw.types import AdapterState


def base_weights(model: AdaptedModel) -> Iterator[Tensor]:
    """The live weights of a base: frozen ones, and those of its own that are trained."""
    yield from model.frozen().values()
    of_base = model.base_values()
    yield from (weight for name, weight in model.trainable().items() if name in of_base)


def merged_tensors(
    names: Iterable[str],
    stored: Callable[[str], Tensor],
    merged: Mapping[str, Callable[[], Tensor]],
) -> Iterator[tuple[str, Tensor]]:
    """The base's tensors in order, one at a time.

    Args:
        names: from `lorafw.models.names.checkpoint_names`, asked before the model was adapted.
        stored: the live tensor of a base name.
        merged: for each adapted weight's base name, what forms W + scaling · B·A.
    """
    for name in names:
        yield name, merged[name]() if name in merged else stored(name).detach()


def merged_numbers(
    base_layers: Mapping[str, nn.Module], state: Callable[[], AdapterState]
) -> dict[str, Callable[[], Tensor]]:
    """For each quantised weight's base name, what forms W + scaling · B·A of the numbers it holds.

    Args:
        base_layers: the base's own layers, by module.
        state: gives the adapter in the form in which it is exported; LoRA or DoRA.
    """
    held = {name: getattr(layer, "weight", None) for name, layer in base_layers.items()}
    quantised = [name for name, weight in held.items() if type(weight).__name__ in QUANTISED]
    if not quantised:
        return {}
    adapter = state()
    return {f"{n}.weight": partial(_merged, base_layers[n], adapter, n) for n in quantised}


@torch.no_grad()
def _merged(layer: nn.Module, state: AdapterState, module: str) -> Tensor:
    """Formed in fp32 and rounded once, to the dtype of the numbers."""
    weight = dense_weight(layer)
    down, up, *magnitude = (state.tensors[n].to(weight.device) for n in state.spec.names_of(module))
    whole = torch.addmm(weight.float(), up, down, alpha=state.spec.scaling_of(module))
    for length in magnitude:  # DoRA, arXiv:2402.09353, eq. 5
        whole *= (length.flatten() / whole.norm(dim=1))[:, None]
    return whole.to(weight.dtype)


def refuse_quantised(module: nn.Module) -> None:
    """Refuse what only LoRA and DoRA can: to be merged with a quantised base's numbers.

    Raises:
        AdapterError: the base is quantised.
    """
    if getattr(module, "is_quantized", False):
        mend = "Merge it into the base as its files have it: --base-weights files."
        raise AdapterError("this method cannot be merged into a quantised base.", mend=mend)


def tensor_of(module: nn.Module, name: str) -> Tensor:
    """A parameter or buffer by its full name; a quantised weight as the numbers it stands for."""
    owner, _, attribute = name.rpartition(".")
    layer = module.get_submodule(owner)
    tensor: Tensor = getattr(layer, attribute)
    return dense_weight(layer) if type(tensor).__name__ in QUANTISED else tensor
