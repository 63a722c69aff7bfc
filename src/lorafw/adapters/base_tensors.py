"""The base's own tensors, as its checkpoint names them, with the update folded in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.errors import AdapterError
from lorafw.models.dense import QUANTISED, dense_weight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from torch import Tensor, nn


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


def refuse_quantised(module: nn.Module) -> None:
    """Refuse to merge into weights of 8 or 4 bits, whose steps are coarser than most updates.

    Raises:
        AdapterError: the base is quantised.
    """
    if getattr(module, "is_quantized", False):
        mend = "Merge it into the base as its files have it: without model.quantize."
        raise AdapterError("no adapter can be merged into a quantised base.", mend=mend)


def tensor_of(module: nn.Module, name: str) -> Tensor:
    """A parameter or buffer by its full name; a quantised weight as the numbers it stands for."""
    owner, _, attribute = name.rpartition(".")
    layer = module.get_submodule(owner)
    tensor: Tensor = getattr(layer, attribute)
    return dense_weight(layer) if type(tensor).__name__ in QUANTISED else tensor
