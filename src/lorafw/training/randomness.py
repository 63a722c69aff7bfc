"""Random numbers of training as a pure function of (seed, step, rank), so a resume repeats them."""

from __future__ import annotations

import hashlib

import torch


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seed torch's generators for one step; what dropout draws depends on nothing else."""
    digest = hashlib.sha256(f"{seed}/{step}/{rank}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
