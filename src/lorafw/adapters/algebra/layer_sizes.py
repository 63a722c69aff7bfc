"""How large updates are, by kind of module and layer."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorafw.adapters.algebra.inspection import AdapterReport

_LAYER = re.compile(r"(?:^|\.)(\d+)\.")
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.|$)")


class LayerPlace(NamedTuple):
    """Where a module sits in a model.

    Attributes:
        kind: what is alike in all layers, such as `self_attn.q_proj`; a star stands for further
            numbers, such as those of experts.
        layer: its number; None for a module outside of the layers, such as a head.
    """

    kind: str
    layer: int | None


def place_of(module: str) -> LayerPlace:
    """Kind and layer of a module, by the first number in its full name."""
    found = _LAYER.search(module)
    if found is None:
        return LayerPlace(module, None)
    return LayerPlace(_NUMBER.sub("*", module[found.end() :]), int(found[1]))


def sizes_are_relative(report: AdapterReport) -> bool:
    """Whether `layer_sizes` is relative to the base's weights: all their norms are known."""
    return all(module.relative_norm is not None for module in report.modules)


def layer_sizes(report: AdapterReport) -> Mapping[str, Mapping[int | None, float]]:
    """Norms of updates by kind and layer; of experts of one layer the quadratic mean."""
    relative = sizes_are_relative(report)
    found: dict[str, dict[int | None, list[float]]] = defaultdict(lambda: defaultdict(list))
    for module in report.modules:
        kind, layer = place_of(module.name)
        size = module.relative_norm if relative else module.norm
        found[kind][layer].append(size or 0.0)
    return {
        kind: {layer: math.hypot(*norms) / math.sqrt(len(norms)) for layer, norms in row.items()}
        for kind, row in found.items()
    }
