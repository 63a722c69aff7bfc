"""Rotary positions (arXiv:2104.09864) over the halves of a head, and their stretch by YaRN."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# YaRN (arXiv:2309.00071) as MiniMind uses it: trained on 2048 positions, stretched 16 times, its
# factor on attention left at 1.
_TRAINED, _FACTOR, _FAST, _SLOW = 2048, 16.0, 32.0, 1.0


def rotary_tables(
    positions: Tensor, head_dim: int, theta: float, *, stretched: bool
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of every position's angles.

    Args:
        positions: `[rows, tokens]`, int64.
        head_dim: channels of a head, an even number.
        theta: base of the geometric series of wavelengths.
        stretched: interpolate slow channels as YaRN does.

    Returns:
        Two of `[rows, 1, tokens, head_dim]`, fp32.
    """
    speeds = _speeds(head_dim, theta, positions.device)
    if stretched:
        kept = _kept(head_dim, theta, positions.device)
        speeds = speeds * kept + speeds / _FACTOR * (1 - kept)
    angles = (positions[..., None].float() * speeds).repeat(1, 1, 2)[:, None]
    return angles.cos(), angles.sin()


def rotate(heads: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    """Turn channel pairs (i, i + head_dim / 2) of `[rows, heads, tokens, head_dim]`."""
    cos, sin = (table.to(heads.dtype) for table in tables)
    left, right = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat([-right, left], dim=-1) * sin


def _speeds(head_dim: int, theta: float, device: torch.device) -> Tensor:
    channels = torch.arange(0, head_dim, 2, device=device, dtype=torch.float32)
    return 1.0 / theta ** (channels / head_dim)


def _kept(head_dim: int, theta: float, device: torch.device) -> Tensor:
    """How much of each channel's speed is kept: 1 for fast, 0 for slow ones, a ramp between."""
    first = max(math.floor(_channel(_FAST, head_dim, theta)), 0)
    last = min(math.ceil(_channel(_SLOW, head_dim, theta)), head_dim - 1)
    ramp = torch.arange(head_dim // 2, device=device, dtype=torch.float32) - first
    return 1 - (ramp / max(last - first, 1e-3)).clamp(0, 1)


def _channel(turns: float, head_dim: int, theta: float) -> float:
    """The channel, as a real number, that turns so often within the trained positions."""
    return head_dim * math.log(_TRAINED / (turns * 2 * math.pi)) / (2 * math.log(theta))
