"""The factors of experts' updates, one by one and merged."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from lorafw.adapters.live.expert_factors import by_expert, merged_experts
from lorafw.models.experts import ExpertSizes


def test_columns_of_b_go_by_rank_before_they_go_by_expert() -> None:
    a, b = torch.arange(12.0).view(4, 3), torch.arange(8.0).view(2, 4)
    down, up = by_expert(a, b, experts=2)
    assert down.tolist() == [a[:2].tolist(), a[2:].tolist()]
    assert up.tolist() == [b[:, [0, 2]].tolist(), b[:, [1, 3]].tolist()]


@given(sizes=st.tuples(*[st.integers(1, 4)] * 4), transposed=st.booleans(), seed=st.integers(0, 99))
def test_merging_adds_each_expert_its_own_update(
    sizes: tuple[int, int, int, int], transposed: bool, seed: int
) -> None:
    experts, wide, out, rank = sizes
    torch.manual_seed(seed)
    a, b = torch.randn(experts * rank, wide), torch.randn(out, rank * experts)
    shape = (experts, wide, out) if transposed else (experts, out, wide)
    weight = torch.randn(shape)
    merged = merged_experts(weight, a, b, 0.5, ExpertSizes(experts, wide, out, transposed))
    for expert, (down, up) in enumerate(zip(*by_expert(a, b, experts), strict=True)):
        update = 0.5 * up @ down
        wanted = weight[expert] + (update.t() if transposed else update)
        torch.testing.assert_close(merged[expert], wanted)


def test_a_bf16_weight_is_rounded_once() -> None:
    weight = torch.ones(1, 1, 1, dtype=torch.bfloat16)
    a, b = torch.full((1, 1), 1 / 3), torch.full((1, 1), 1 / 7)
    merged = merged_experts(weight, a, b, 1.0, ExpertSizes(1, 1, 1, transposed=False))
    assert merged.dtype == torch.bfloat16
    assert merged.item() == (torch.tensor(1.0) + b @ a).bfloat16().item()
