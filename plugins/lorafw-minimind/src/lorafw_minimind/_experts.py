"""Feed-forward layers: one for all tokens, or experts a router chooses among."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lorafw_minimind._config import MiniMindConfig


class FeedForward(nn.Module):
    """down(silu(gate(x)) · up(x)), as in arXiv:2002.05202."""

    def __init__(self, hidden_size: int, intermediate_size: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.up_proj = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.down_proj = nn.Linear(intermediate_size, hidden_size, bias=False)

    def forward(self, rows: Tensor) -> Tensor:
        """[..., width] to [..., width]."""
        out: Tensor = self.down_proj(F.silu(self.gate_proj(rows)) * self.up_proj(rows))
        return out


class Router(nn.Module):
    """The experts' scores; not an `nn.Linear`, so that no injector takes it for a target."""

    def __init__(self, hidden_size: int, num_experts: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_experts, hidden_size))

    def forward(self, rows: Tensor) -> Tensor:
        """[tokens, width] to the probabilities [tokens, experts], fp32."""
        return F.linear(rows, self.weight).float().softmax(-1)


class MixtureOfExperts(nn.Module):
    """Every token through the experts of its highest scores, and through the shared ones."""

    def __init__(self, config: MiniMindConfig) -> None:
        super().__init__()
        sizes = config.hidden_size, config.intermediate_size
        self.gate = Router(config.hidden_size, config.num_experts)
        self.experts = nn.ModuleList(FeedForward(*sizes) for _ in range(config.num_experts))
        if config.num_shared_experts:
            shared = (FeedForward(*sizes) for _ in range(config.num_shared_experts))
            self.shared_experts = nn.ModuleList(shared)
        self._chosen = config.num_experts_per_tok
        self._normalised = config.norm_topk_prob

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., width] to [..., width]."""
        rows = hidden.flatten(0, -2)
        weights, chosen = self.gate(rows).topk(self._chosen, dim=-1)
        if self._normalised:
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        out = self._dispatch(rows, weights.to(rows.dtype), chosen)
        for shared in getattr(self, "shared_experts", ()):
            out = out + shared(rows)
        return out.view_as(hidden)

    def _dispatch(self, rows: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        out = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            # An expert without tokens is run on none: its parameters get gradients of zero, for
            # which DDP waits on every rank.
            token, place = (chosen == number).nonzero(as_tuple=True)
            out = out.index_add(0, token, expert(rows[token]) * weights[token, place, None])
        return out
