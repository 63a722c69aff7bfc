"""The routers' balance loss, which asks that experts get equal shares of the tokens."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lorafw_minimind._experts import Router

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lorafw_minimind.architecture import Architecture


@dataclass(frozen=True, slots=True)
class BalanceLoss:
    """coefficient · Σ over experts of f · P, summed over layers.

    From arXiv:2101.03961 for a whole batch, and arXiv:2405.04434 for each sequence. P is the mean
    of an expert's probability over a group of tokens, f its share of the choices made there times
    the number of experts. A group is one sequence, or the whole batch.

    Attributes:
        coefficient: what the sum is multiplied by.
        chosen: experts per token.
        per_sequence: every sequence is a group of its own; else the batch is one.
    """

    coefficient: float
    chosen: int
    per_sequence: bool

    def __call__(self, probabilities: Sequence[Tensor], inputs: Mapping[str, Tensor]) -> Tensor:
        """One value per position: its group's loss; zero for padding.

        Args:
            probabilities: of every layer's router, [positions, experts] fp32.
            inputs: as in `Batch.inputs`, either layout.

        Returns:
            fp32, shaped as `input_ids`.
        """
        ids = inputs["input_ids"]
        real, group, groups = _groups(inputs)
        if not self.per_sequence:
            group, groups = torch.zeros_like(group), 1
        layers = [self._by_group(layer[real], group, groups) for layer in probabilities]
        values = torch.stack(layers).sum(0)[group] * self.coefficient
        out = values.new_zeros(ids.numel()).masked_scatter(real, values)
        return out.view(ids.shape)

    def _by_group(self, probabilities: Tensor, group: Tensor, groups: int) -> Tensor:
        """Σ f · P of every group: [groups]."""
        experts = probabilities.shape[-1]
        choices = F.one_hot(probabilities.topk(self.chosen).indices, experts).sum(1).float()
        sizes = torch.bincount(group, minlength=groups).clamp_min(1)[:, None]
        empty = probabilities.new_zeros(groups, experts)
        shares = empty.index_add(0, group, choices) * (experts / self.chosen) / sizes
        means = empty.index_add(0, group, probabilities) / sizes
        return (shares * means).sum(-1)


def balance_loss(form: Architecture) -> BalanceLoss | None:
    """The balance loss of an architecture; None for dense models and a coefficient of 0."""
    if not form.num_experts or not form.aux_loss_coef:
        return None
    return BalanceLoss(form.aux_loss_coef, form.num_experts_per_tok, form.sequence_balance)


@contextmanager
def recorded(module: nn.Module) -> Iterator[list[Tensor]]:
    """While open, what each router of a module gives is noted, in the order they run."""
    noted: list[Tensor] = []
    routers = [part for part in module.modules() if isinstance(part, Router)]
    hooks = [r.register_forward_hook(lambda _, __, out: noted.append(out)) for r in routers]
    try:
        yield noted
    finally:
        for hook in hooks:
            hook.remove()


def _groups(inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, int]:
    """Which positions hold a token, the sequence of each of those, and how many sequences."""
    ids = inputs["input_ids"]
    if (edges := inputs.get("cu_seqlens")) is not None:
        lengths = edges.diff().long()
        rows = torch.arange(len(lengths), device=ids.device)
        return torch.ones_like(ids, dtype=torch.bool), rows.repeat_interleave(lengths), len(rows)
    real = inputs["attention_mask"].bool().flatten()
    rows = torch.arange(len(ids), device=ids.device)
    return real, rows.repeat_interleave(ids.shape[1])[real], len(rows)
