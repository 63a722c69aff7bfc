"""The prompts of a pool: how they lie in the table, and which are nearest to a query."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lorafw_continual._prompt_pool import Pool

sizes = st.integers(1, 6)


@settings(deadline=None, max_examples=25)
@given(size=sizes, length=sizes)
def test_keys_and_prompts_share_out_the_table(size: int, length: int) -> None:
    pool, count = Pool(size, length, 1), size * (length + 1)
    keys = pool.keys(torch.arange(count)[:, None])[:, 0].tolist()
    prompts = pool.prompts.tolist()
    assert len(keys) == size
    assert len(prompts) == size * length
    assert sorted([*keys, *prompts]) == list(range(count))


@settings(deadline=None, max_examples=25)
@given(size=sizes, length=sizes, data=st.data())
def test_a_prompt_stands_behind_its_key_and_whole(
    size: int, length: int, data: st.DataObject
) -> None:
    pool = Pool(size, length, 1)
    keys = pool.keys(torch.arange(size * (length + 1))[:, None])[:, 0]
    numbers = data.draw(st.permutations(range(size)))
    found = pool.tokens_of(torch.tensor([numbers, numbers[::-1]]))
    wanted = [[int(keys[n]) + 1 + at for n in numbers for at in range(length)]]
    assert found[:1].tolist() == wanted
    assert found.shape == (2, size * length)


@settings(deadline=None, max_examples=25)
@given(size=sizes, data=st.data())
def test_the_chosen_are_the_nearest_by_the_cosine(size: int, data: st.DataObject) -> None:
    chosen = data.draw(st.integers(1, size))
    seeded = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    queries, keys = (torch.randn(n, 4, generator=seeded).double() for n in (3, size))
    cosines, numbers = Pool(size, 1, chosen).nearest(queries, keys)
    for query, near, found in zip(queries, cosines, numbers.tolist(), strict=True):
        wanted = sorted(range(size), key=lambda at: -_cosine(query, keys[at]))[:chosen]
        assert found == wanted
        torch.testing.assert_close(near.tolist(), [_cosine(query, keys[at]) for at in wanted])


def test_lengths_do_not_matter() -> None:
    keys = torch.tensor([[100.0, 99.0], [0.1, 0.0]])
    _, numbers = Pool(2, 1, 1).nearest(torch.tensor([[3.0, 0.1], [0.2, 0.2]]), keys)
    assert numbers.tolist() == [[1], [0]]


def _cosine(one: Tensor, other: Tensor) -> float:
    return float(one @ other / (one @ one).sqrt() / (other @ other).sqrt())
