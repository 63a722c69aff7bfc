"""Ranks and alphas of modules, said as shortly as a spec can."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorafw.types import AdapterSpec

N = TypeVar("N", int, float)


def with_ranks(spec: AdapterSpec, ranks: Mapping[str, int]) -> AdapterSpec:
    """The spec with other ranks; each module's alpha moves along, so that its scaling stays."""
    alphas = {module: _alpha_at(spec, module, rank) for module, rank in ranks.items()}
    return with_patterns(spec, ranks, alphas)


def with_patterns(
    spec: AdapterSpec, ranks: Mapping[str, int], alphas: Mapping[str, float]
) -> AdapterSpec:
    """The spec with these ranks and alphas; patterns hold what differs from the commonest."""
    rank, alpha = _commonest(ranks), _commonest(alphas)
    return replace(
        spec,
        rank=rank,
        alpha=alpha,
        rank_pattern={module: r for module, r in ranks.items() if r != rank},
        alpha_pattern={module: a for module, a in alphas.items() if a != alpha},
    )


def _alpha_at(spec: AdapterSpec, module: str, rank: int) -> float:
    ratio = rank / spec.rank_of(module)
    alpha = spec.alpha_pattern.get(module, spec.alpha)
    return float(alpha * (ratio**0.5 if spec.use_rslora else ratio))


def _commonest(values: Mapping[str, N]) -> N:
    return Counter(values.values()).most_common(1)[0][0]
