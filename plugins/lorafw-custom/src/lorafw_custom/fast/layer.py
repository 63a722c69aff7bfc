"""A decoder layer that trains by hand-written passes, and for all else as it always did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lorafw_custom._linear import LoRALinear
from lorafw_custom.fast.attention_half import AttentionHalf
from lorafw_custom.fast.geometry import Geometry
from lorafw_custom.fast.mlp_half import MlpHalf
from lorafw_custom.fast.normed import Norm, NormedProjection
from lorafw_custom.fast.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.contracts import LayerForm
    from lorafw_custom.fast.geometry import Geometries
    from lorafw_custom.fast.running import Runner

__all__ = ["FastLayer", "hooked"]

_REHEARSED = 96


class FastLayer:
    """What stands in for a layer's `forward`.

    Args:
        layer: of the given form, its linears adapted or frozen.
        form: what it computes.
        geometries: shared by the layers of a model.
        run: how formulas are run.
    """

    def __init__(
        self, layer: nn.Module, form: LayerForm, geometries: Geometries, run: Runner
    ) -> None:
        self._layer, self._form, self._geometries = layer, form, geometries
        self.ordinary: Any = layer.forward
        self._projections = [
            Projection([layer.get_submodule(name) for name in names])
            for names in (form.qkv, (form.out,), form.gate_up, (form.down,))
        ]
        qkv, out, gate_up, down = self._projections
        first, second = (Norm(layer.get_submodule(name), form.eps) for name in form.norms)
        keys = len(layer.get_submodule(form.qkv[1]).weight) // form.head_dim  # type: ignore[arg-type]
        self._attention = AttentionHalf(
            NormedProjection(first, qkv),
            out,
            tuple(Norm(layer.get_submodule(name), form.eps) for name in form.head_norms),
            heads=qkv.width // form.head_dim - 2 * keys,
            kv_heads=keys,
            head_dim=form.head_dim,
            scale=form.scale,
            interleaved=form.interleaved,
            run=run,
        )
        self._mlp = MlpHalf(NormedProjection(second, gate_up), down, run)
        self._recomputing: Any = layer.get_submodule(form.down.rpartition(".")[0])
        self._passed_by = [each for each in layer.modules() if each is not layer]

    def __call__(self, hidden: Tensor, *given: Any, **named: Any) -> Any:
        """The layer's output, `[rows, tokens, width]`."""
        if given or not torch.is_grad_enabled():
            return self.ordinary(hidden, *given, **named)
        geometry = self.geometry(hidden, named)
        if geometry is None:
            return self.ordinary(hidden, **named)
        return self.by_hand(hidden, geometry)

    def geometry(self, hidden: Tensor, named: dict[str, Any]) -> Geometry | None:
        """Where the tokens are, if these can be computed by hand here and now; else None."""
        if not self._ready(hidden, named):
            return None
        geometry = self._geometries.of(hidden, self._form, named)
        return None if geometry is None or self._overlooks(geometry) else geometry

    def by_hand(self, hidden: Tensor, geometry: Geometry) -> Tensor:
        """What `ordinary` would compute."""
        rows = self._attention(hidden.flatten(0, -2), geometry)
        twice = getattr(self._recomputing.forward, "recomputed", False)
        return self._mlp(rows, recomputed=twice).view(hidden.shape)

    @property
    def whole(self) -> bool:
        """Whether its weights are where they were laid, and none is sharded."""
        return all(projection.whole() for projection in self._projections)

    @property
    def elements(self) -> int:
        """Numbers per token that its formulas go through."""
        return sum(p.inputs + p.width for p in self._projections)

    def rehearse(self) -> None:
        """Run both passes once on a few rows, for nothing but to have their kernels ready."""
        weight, pairs = self._projections[0].weight, self._form.head_dim // 2
        rows = torch.ones(_REHEARSED, weight.shape[1], dtype=weight.dtype, device=weight.device)
        wide = torch.promote_types(weight.dtype, torch.float32)
        angles = torch.ones(_REHEARSED, pairs, dtype=wide, device=weight.device)
        geometry = Geometry(angles, angles.clone(), [0, _REHEARSED], _REHEARSED)
        factors = [factor for projection in self._projections for factor in projection.live()]
        # A layer's rows want a gradient or, in the lowest, want none: kernels differ in that.
        for wanted in (False, True):
            x = rows[None].clone().requires_grad_(wanted)
            with torch.enable_grad():
                out = self.by_hand(x, geometry)
            if out.requires_grad:
                torch.autograd.grad(out.sum(), [x] if wanted else factors)

    def _ready(self, hidden: Tensor, named: dict[str, Any]) -> bool:
        """Whether all is in its place: no cache, no cast, no weight sharded, no update left out."""
        return (
            named.get(self._form.cache) is None
            and not torch.is_autocast_enabled(hidden.device.type)
            and not any(map(hooked, self._passed_by))
            and all(_serves(projection, hidden) for projection in self._projections)
        )

    def _overlooks(self, geometry: Geometry) -> bool:
        """Whether some token sees less than all that is before it."""
        return self._form.window is not None and geometry.longest > self._form.window


def hooked(module: Any) -> bool:
    """Whether something is done whenever a module is called, which nobody would call by hand."""
    return bool(
        module._forward_hooks  # noqa: SLF001 - PyTorch has no public word for them
        or module._forward_pre_hooks  # noqa: SLF001
        or module._backward_hooks  # noqa: SLF001
        or module._backward_pre_hooks  # noqa: SLF001
    )


def _serves(projection: Projection, hidden: Tensor) -> bool:
    first = projection.layers[0].weight
    here = first.device == hidden.device and first.dtype == hidden.dtype
    return here and projection.whole() and _as_trained(projection.layers)


def _as_trained(layers: Sequence[Any]) -> bool:
    return all(each.enabled and not each.drops for each in layers if isinstance(each, LoRALinear))
