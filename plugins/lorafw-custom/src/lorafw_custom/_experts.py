"""LoRA updates of experts that a family stores as one tensor for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lorafw.adapters.live.expert_factors import merged_experts
from lorafw.models.experts import expert_sizes
from lorafw_custom._expert_product import expert_products
from lorafw_custom._layer import AdapterLayer
from lorafw_custom._product import autocast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.models.experts import ExpertSizes
    from lorafw.types import AdapterSpec

__all__ = ["ExpertsUpdate", "experts_update"]


def experts_update(module: nn.Module, name: str, spec: AdapterSpec) -> ExpertsUpdate:
    """An update for one of `stacked_experts`, and its experts made ready to use it.

    Args:
        module: the base model; the experts are changed in place when the update is put into them.
        name: full name of the parameter.
        spec: rank and scaling.
    """
    owner, _, key = name.rpartition(".")
    experts = module.get_submodule(owner)
    return ExpertsUpdate(
        experts.get_parameter(key),
        expert_sizes(module, name),
        rank=spec.rank_of(name),
        scaling=spec.scaling_of(name),
    )


class ExpertsUpdate(AdapterLayer):
    """`W_e + scaling * B_e A_e` for every expert `e`; the weight stays with its own module.

    Args:
        weight: the frozen parameter, for its device.
        sizes: of the weight.
        rank: of the update of each expert.
        scaling: as in `AdapterLayer`.

    Attributes:
        lora_A, lora_B: `[experts * rank, in]` and `[out, rank * experts]`; see `by_expert`.
    """

    bias = None

    def __init__(self, weight: Tensor, sizes: ExpertSizes, *, rank: int, scaling: float) -> None:
        super().__init__(
            sizes.inputs,
            sizes.outputs,
            rank=rank * sizes.experts,
            scaling=scaling,
            dropout=0.0,
            device=weight.device,
        )
        self.sizes = sizes

    def put_into(self, experts: nn.Module, key: str) -> None:
        """Become part of the experts whose parameter is called `key`."""
        experts.add_module(_part_name(key), self)
        if not isinstance(experts, LoRAExperts):
            experts.__class__ = _with_updates(type(experts))

    def forward(self, x: Tensor, ends: Sequence[int], weight: Tensor) -> Tensor:
        """`[rows, in]`, sorted by expert, to `[rows, out]`; see `expert_products`."""
        factors = self.lora_A, self.lora_B, self.scaling
        transposed = self.sizes.transposed
        return expert_products(x, ends, weight, factors, transposed=transposed)

    def merged_into(self, weight: Tensor) -> Tensor:
        """The weight with the update in it, formed in fp32 and rounded once to its dtype."""
        return merged_experts(weight, self.lora_A, self.lora_B, self.scaling, self.sizes)


class LoRAExperts(nn.Module):
    """What an experts module becomes: the same module, whose products have updates.

    Its parameters keep their names and places. Switched off, the family's own forward pass runs,
    whatever implementation of it is configured.
    """

    act_fn: Any
    _apply_gate: Any

    def forward(self, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
        """Send each row through its experts.

        Args:
            hidden_states: `[tokens, width]`.
            top_k_index: the experts of each token, `[tokens, k]`.
            top_k_weights: what each counts, `[tokens, k]`.

        Returns:
            The weighted sums, `[tokens, width]`, in the dtype of the input.
        """
        if not any(update.enabled for update in _updates(self)):
            frozen: Tensor = super().forward(hidden_states, top_k_index, top_k_weights)
            return frozen
        tokens, choices = top_k_index.shape
        chosen, order = torch.sort(top_k_index.reshape(-1), stable=True)
        made = self._through(autocast(hidden_states)[order // choices], chosen)
        weighted = made * top_k_weights.reshape(-1)[order, None]
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=order.device)
        return weighted[back].view(tokens, choices, -1).sum(dim=1).to(hidden_states.dtype)

    def _through(self, rows: Tensor, chosen: Tensor) -> Tensor:
        """Rows sorted by expert, and those experts' numbers, to what the experts make of them."""
        own: Any = self
        ends = torch.bincount(chosen, minlength=_updates(self)[0].sizes.experts).cumsum(0).tolist()
        up = self._product("gate_up_proj" if own.has_gate else "up_proj", rows, chosen, ends)
        inner = self._apply_gate(up) if own.has_gate else self.act_fn(up)
        made = self._product("down_proj", inner, chosen, ends)
        return own.post_expert_norm(made) if own.has_post_expert_norm else made

    def _product(self, key: str, rows: Tensor, chosen: Tensor, ends: Sequence[int]) -> Tensor:
        own: Any = self
        weight, update = getattr(self, key), getattr(self, _part_name(key), None)
        if update is not None and update.enabled:
            made: Tensor = update(rows, ends, weight)
        else:
            made = expert_products(rows, ends, weight, None, transposed=own.is_transposed)
        return made + getattr(self, f"{key}_bias")[chosen].to(made.dtype) if own.has_bias else made


def _updates(experts: nn.Module) -> list[ExpertsUpdate]:
    return [part for part in experts.children() if isinstance(part, ExpertsUpdate)]


def _part_name(key: str) -> str:
    return f"lora_{key}"


_KINDS: dict[type[nn.Module], type[nn.Module]] = {}


def _with_updates(kind: type[nn.Module]) -> type[nn.Module]:
    """The class of such experts with `LoRAExperts` in front, as torch's parametrize does it."""
    if kind not in _KINDS:
        _KINDS[kind] = type(f"LoRA{kind.__name__}", (LoRAExperts, kind), {})
    return _KINDS[kind]
