"""Where the tokens of a micro-batch are: the same for all layers, so worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from lorafw.contracts import LayerForm

__all__ = ["Geometries", "Geometry"]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Tokens laid end to end.

    Attributes:
        cos, sin: of each token's angles, `[n, pairs]`, fp32 or wider.
        boundaries: where each segment starts, then `n`; padded rows are segments of full length,
            as no token before the padding sees any of it.
        longest: tokens of the longest segment.
    """

    cos: Tensor
    sin: Tensor
    boundaries: list[int]
    longest: int


class Geometries:
    """Remembers that of the last micro-batch."""

    def __init__(self) -> None:
        self._given: tuple[Any, ...] = ()
        self._made: Geometry | None = None

    def of(self, hidden: Tensor, form: LayerForm, named: Mapping[str, Any]) -> Geometry | None:
        """The geometry of what a layer is called with; None if this is not a plain causal batch."""
        tables, segments = named.get(form.tables), named.get("cu_seq_lens_q")
        mask = None if segments is not None else named.get(form.mask)
        given = tables, segments, mask, hidden.shape
        if len(given) != len(self._given) or not all(map(_same, given, self._given)):
            self._given = given
            self._made = None if tables is None else _geometry(hidden, tables, segments, mask)
        return self._made


def _same(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, torch.Size) and one == other)


def _geometry(
    hidden: Tensor, tables: tuple[Tensor, Tensor], segments: Any, mask: Tensor | None
) -> Geometry | None:
    rows, length = hidden.shape[:2]
    if segments is not None:
        edges = segments.tolist() if isinstance(segments, torch.Tensor) else list(segments)
    elif mask is None or _padded_behind(mask, length):
        edges = list(range(0, rows * length + 1, length))
    else:
        return None
    longest = max(stop - start for start, stop in pairwise(edges))
    wide = torch.promote_types(hidden.dtype, torch.float32)
    # One table may serve all rows: those of a padded batch have the same positions.
    cos, sin = (
        table.expand(rows, *table.shape[1:]).flatten(0, -2)[:, : table.shape[-1] // 2].to(wide)
        for table in tables
    )
    return Geometry(cos.contiguous(), sin.contiguous(), edges, longest)


def _padded_behind(mask: Tensor, length: int) -> bool:
    """Whether a mask does no more than keep the future and padding behind each row unseen."""
    if mask.dtype != torch.bool or mask.shape[-2:] != (length, length):
        return False
    seen = mask[:, 0, -1]
    return bool((seen[:, 1:] <= seen[:, :-1]).all())
