from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.adapters.live.subtracted_starts import parted, with_starts
from lorafw.types import AdapterSpec, AdapterState

SIZES = {"a": (5, 3), "b": (4, 6)}


def random_parts(
    spec: AdapterSpec, seed: int
) -> tuple[AdapterState, dict[str, tuple[torch.Tensor, torch.Tensor]]]:
    generator = torch.Generator().manual_seed(seed)
    tensors, starts = {}, {}
    for module, (out, wide) in SIZES.items():
        rank = spec.rank_of(module)
        down, up = spec.pair_of(module)
        tensors[down] = torch.randn(rank, wide, generator=generator)
        tensors[up] = torch.randn(out, rank, generator=generator)
        starts[module] = tuple(
            torch.randn(t.shape, generator=generator) for t in (tensors[down], tensors[up])
        )
    return AdapterState(spec, tensors), starts


@settings(max_examples=30, deadline=None)
@given(
    rank=st.integers(1, 4),
    other=st.integers(1, 4),
    alpha=st.floats(0.5, 8),
    rslora=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_difference_is_plain_lora_of_twice_the_rank(
    rank: int, other: int, alpha: float, rslora: bool, seed: int
) -> None:
    spec = AdapterSpec(
        rank,
        alpha,
        tuple(SIZES),
        use_rslora=rslora,
        rank_pattern={"b": other},
        alpha_pattern={"a": 3.0},
    )
    state, starts = random_parts(spec, seed)
    plain = with_starts(state, starts)
    for module, (a, b) in starts.items():
        down, up = (state.tensors[name] for name in spec.pair_of(module))
        wanted = spec.scaling_of(module) * (up @ down - b @ a)
        wide, tall = (plain.tensors[name] for name in plain.spec.pair_of(module))
        assert plain.spec.rank_of(module) == len(wide) == 2 * spec.rank_of(module)
        found = plain.spec.scaling_of(module) * tall @ wide
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", [0, 1])
def test_both_come_back_bit_for_bit(seed: int) -> None:
    spec = AdapterSpec(2, 4.0, tuple(SIZES), rank_pattern={"b": 3})
    state, starts = random_parts(spec, seed)
    values, found = parted(spec, with_starts(state, starts).tensors)
    assert values.keys() == state.tensors.keys()
    assert all(torch.equal(values[name], tensor) for name, tensor in state.tensors.items())
    assert all(torch.equal(x, y) for m in starts for x, y in zip(found[m], starts[m], strict=True))
