"""The layers and the live handle of the toy injector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lorafw.adapters.live.base_tensors import merged_tensors, tensor_of
from lorafw.adapters.live.trained_parts import TrainedParts
from lorafw.adapters.live.untying import untie
from lorafw.contracts import AdaptedModel, ModelBundle
from lorafw.models.names import checkpoint_names
from lorafw.types import AdapterSpec, canonical_pair


class ToyLoRALinear(nn.Module):
    """`base(x) + scaling * (x A^T) B^T` (arXiv:2106.09685, eq. 3)."""

    def __init__(self, base: Any, rank: int, scaling: float, dropout: float) -> None:
        super().__init__()
        self.base: Any = base
        self.scaling, self.dropout, self.enabled = scaling, dropout, True
        out_features, in_features = base.weight.shape
        self.lora_A = nn.Parameter(torch.empty(rank, in_features, device=base.weight.device))
        self.lora_B = nn.Parameter(torch.empty(out_features, rank, device=base.weight.device))

    def forward(self, x: Tensor) -> Tensor:
        """Map `[..., in]` to `[..., out]` in the dtype of `x`."""
        frozen: Tensor = self.base(x)
        if not self.enabled:
            return frozen
        dropped = F.dropout(x, self.dropout, self.training)
        low = F.linear(dropped, self.lora_A.to(x.dtype))
        return frozen + self.scaling * F.linear(low, self.lora_B.to(x.dtype))

    @torch.no_grad()
    def merged_weight(self) -> Tensor:
        """`W + scaling * B A`, formed in fp32 and rounded once."""
        weight: Tensor = self.base.weight
        return (weight.float() + self.scaling * self.lora_B @ self.lora_A).to(weight.dtype)


class ToyAdaptedModel(AdaptedModel):
    """The bundle's module with each target inside a layer of ours."""

    def __init__(self, bundle: ModelBundle, spec: AdapterSpec) -> None:
        self.bundle, self.spec = bundle, spec
        untie(bundle.module, spec)
        self._base_names = checkpoint_names(bundle.module)
        self._layers: dict[str, ToyLoRALinear] = {}
        for name in spec.targets:
            scaling = spec.scaling_of(name)
            linear = bundle.module.get_submodule(name)
            layer = ToyLoRALinear(linear, spec.rank_of(name), scaling, spec.dropout)
            bundle.module.set_submodule(name, layer)
            self._layers[name] = layer
        self._trained = TrainedParts(bundle.module, spec)
        self.train(mode=False)
        self.reset(seed=0)

    def trainable(self) -> Mapping[str, nn.Parameter]:
        """A and B of every layer under canonical names, module by module."""
        found: dict[str, nn.Parameter] = {}
        for name, layer in self._layers.items():
            found |= zip(canonical_pair(name), (layer.lora_A, layer.lora_B), strict=True)
        return found | self._trained.parameters

    def base_values(self) -> Mapping[str, Tensor]:
        """What the trained modules are in the base."""
        return self._trained.base_values()

    def train(self, mode: bool) -> None:
        """Switch the adapter's dropout."""
        for layer in self._layers.values():
            layer.training = mode

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """While open, only the frozen layers compute."""
        before = {name: layer.enabled for name, layer in self._layers.items()}
        for layer in self._layers.values():
            layer.enabled = False
        try:
            with self._trained.disabled():
                yield
        finally:
            for name, layer in self._layers.items():
                layer.enabled = before[name]

    def merged_state(self) -> Iterator[tuple[str, Tensor]]:
        """The base's tensors under base names, update folded in, one at a time."""
        merged = {f"{name}.weight": layer.merged_weight for name, layer in self._layers.items()}
        stored = partial(tensor_of, self.bundle.module)
        merged |= self._trained.merged()
        return merged_tensors(self._base_names, lambda name: stored(self._inside(name)), merged)

    def base_tensor(self, name: str) -> Tensor:
        """The live tensor of a base name."""
        return tensor_of(self.bundle.module, self._inside(name))

    def _inside(self, name: str) -> str:
        owner, _, attribute = name.rpartition(".")
        return f"{owner}.base.{attribute}" if owner in self._layers else name
