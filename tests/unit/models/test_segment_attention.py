"""Attention over segments: the computation against fp64, and inside a Llama."""

from __future__ import annotations

import functools
import itertools
import random
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lorafw.models.segment_attention import NAME, register, segment_attention, segment_inputs

if TYPE_CHECKING:
    from collections.abc import Callable

SCALE = 0.3


def edges(lengths: list[int]) -> list[int]:
    return [0, *itertools.accumulate(lengths)]


def sample(
    tokens: int, heads: int, kv_heads: int, dim: int, value_dim: int | None = None
) -> list[Tensor]:
    """Query, key and value in fp64, with values that bf16 holds exactly."""
    generator = torch.Generator().manual_seed(tokens)
    shapes = (heads, dim), (kv_heads, dim), (kv_heads, value_dim or dim)
    made = [torch.randn(tokens, *shape, generator=generator).bfloat16() for shape in shapes]
    return [rows.double().requires_grad_() for rows in made]


def one_by_one(inputs: list[Tensor], lengths: list[int], window: int = 10_000) -> Tensor:
    """PyTorch's attention called once per segment, with repeated keys and values.

    A token sees as many tokens as `window` says, itself the last of them.
    """
    outputs = []
    for segment in zip(*(rows.split(lengths) for rows in inputs), strict=True):
        query, key, value = (rows.transpose(0, 1) for rows in segment)
        group = len(query) // len(key)
        key, value = (rows.repeat_interleave(group, 0) for rows in (key, value))
        back = torch.arange(key.shape[1])[:, None] - torch.arange(key.shape[1])
        seen = (back >= 0) & (back < window)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=SCALE)
        outputs.append(out.transpose(0, 1))
    return torch.cat(outputs)


def results(out: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """The output and the gradients under a fixed direction."""
    generator = torch.Generator().manual_seed(7)
    direction = torch.randn(out.shape, dtype=torch.float64, generator=generator)
    return [out.detach(), *torch.autograd.grad(out, inputs, direction.to(out.dtype))]


def ours(inputs: list[Tensor], lengths: list[int], **options: Any) -> list[Tensor]:
    query, key, value = inputs
    boundaries = torch.tensor(edges(lengths), dtype=torch.int32)
    out = segment_attention(query, key, value, boundaries, scale=SCALE, **options)
    return results(out, inputs)


def distance(value: Tensor, reference: Tensor) -> float:
    return float((value.double() - reference).norm() / reference.norm())


@settings(max_examples=20, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    kv_heads=st.integers(1, 3),
    group=st.integers(1, 3),
    dim=st.integers(1, 9),
)
def test_equals_one_call_per_segment(
    lengths: list[int], kv_heads: int, group: int, dim: int
) -> None:
    inputs = sample(sum(lengths), kv_heads * group, kv_heads, dim)
    torch.testing.assert_close(ours(inputs, lengths), results(one_by_one(inputs, lengths), inputs))


@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5), window=st.integers(1, 13))
def test_a_window_hides_what_is_further_back(lengths: list[int], window: int) -> None:
    inputs = sample(sum(lengths), 4, 2, 3)
    expected = results(one_by_one(inputs, lengths, window), inputs)
    torch.testing.assert_close(ours(inputs, lengths, window=window), expected)


@pytest.mark.parametrize("lengths", [[700, 1, 255, 256, 257], [2100]])
def test_equals_one_call_per_segment_for_long_segments(lengths: list[int]) -> None:
    inputs = sample(sum(lengths), 2, 1, 8)
    torch.testing.assert_close(ours(inputs, lengths), results(one_by_one(inputs, lengths), inputs))


def test_passes_the_gradient_check() -> None:
    inputs = sample(4, 2, 1, 2)
    assert torch.autograd.gradcheck(
        lambda q, k, v: segment_attention(q, k, v, (0, 1, 4), scale=SCALE), inputs
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_is_as_near_to_fp64_as_the_ordinary_attention(dtype: torch.dtype) -> None:
    lengths = [135, 1, 300, 64]
    exact = sample(sum(lengths), 9, 3, 64)
    expected = results(one_by_one(exact, lengths), exact)
    inputs = [rows.detach().to(dtype).requires_grad_() for rows in exact]
    usual = results(one_by_one(inputs, lengths), inputs)
    for value, ordinary, true in zip(ours(inputs, lengths), usual, expected, strict=True):
        assert value.dtype == dtype
        assert distance(value, true) < 3 * distance(ordinary, true) + 1e-7


def test_scores_that_grow_large_stay_finite() -> None:
    """A future key whose score is far above those of the past must not reach the gradient."""
    inputs = [(rows.detach() * 16).requires_grad_() for rows in sample(40, 2, 2, 16)]
    expected = results(one_by_one(inputs, [40]), inputs)
    low = [rows.detach().bfloat16().requires_grad_() for rows in inputs]
    for value, true in zip(ours(low, [40]), expected, strict=True):
        assert value.isfinite().all()
        assert distance(value, true) < 0.02


def test_strided_views_and_empty_segments_are_welcome() -> None:
    inputs = sample(9, 4, 2, 6)
    expected = results(one_by_one(inputs, [4, 5]), inputs)
    query, key, value = (rows.transpose(0, 1).contiguous().transpose(0, 1) for rows in inputs)
    out = segment_attention(query, key, value, (0, 4, 4, 9), scale=SCALE)
    torch.testing.assert_close(results(out, inputs), expected)


def test_values_of_another_width_take_the_ordinary_attention() -> None:
    lengths = [4, 1, 5]
    inputs = sample(10, 4, 2, 6, value_dim=3)
    torch.testing.assert_close(ours(inputs, lengths), results(one_by_one(inputs, lengths), inputs))


def test_autocast_decides_the_dtype() -> None:
    inputs = [rows.detach().float().requires_grad_() for rows in sample(10, 4, 2, 6)]
    inputs[2] = inputs[2].detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = ours(inputs, [4, 6])
    assert [rows.dtype for rows in got] == [torch.bfloat16, *(rows.dtype for rows in inputs)]


@pytest.mark.parametrize("boundaries", [(), (0, 4), (1, 10), (0, 11), (0, 7, 5, 10)])
def test_refuses_boundaries_that_do_not_fit(boundaries: tuple[int, ...]) -> None:
    query, key, value = sample(10, 2, 2, 4)
    with pytest.raises(ValueError, match="10 tokens"):
        segment_attention(query, key, value, boundaries, scale=SCALE)


# ---- inside transformers ----

LENGTHS = [5, 1, 9, 3]


def llama(**options: Any) -> transformers.LlamaForCausalLM:
    register()
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=50,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
        attn_implementation=NAME,
        **options,
    )
    return transformers.LlamaForCausalLM(config).train()


def rows_of_ids() -> list[Tensor]:
    rng = random.Random(0)
    return [torch.tensor([rng.randrange(50) for _ in range(length)]) for length in LENGTHS]


def packed() -> dict[str, Any]:
    rows = rows_of_ids()
    positions = torch.cat([torch.arange(len(row)) for row in rows])
    boundaries = torch.tensor(edges(LENGTHS), dtype=torch.int32)
    return {
        "input_ids": torch.cat(rows)[None],
        "position_ids": positions[None],
        "use_cache": False,
        **segment_inputs(boundaries),
    }


def as_segments(model: transformers.LlamaForCausalLM) -> Tensor:
    logits: Tensor = model(**packed()).logits[0]
    return logits


def as_padded(model: transformers.LlamaForCausalLM) -> Tensor:
    rows = rows_of_ids()
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    logits: Tensor = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return logits[mask.bool()]


def as_single_rows(model: transformers.LlamaForCausalLM) -> Tensor:
    return torch.cat([model(input_ids=row[None]).logits[0] for row in rows_of_ids()])


def outcome(
    model: transformers.LlamaForCausalLM, run: Callable[[transformers.LlamaForCausalLM], Tensor]
) -> tuple[Tensor, ...]:
    logits = run(model)
    loss = F.cross_entropy(logits, torch.cat(rows_of_ids()), reduction="sum") / len(logits)
    return logits.detach(), *torch.autograd.grad(loss, list(model.parameters()))


@pytest.mark.parametrize("run", [as_segments, as_padded])
def test_a_llama_sees_segments_as_it_sees_single_rows(
    run: Callable[[transformers.LlamaForCausalLM], Tensor],
) -> None:
    model = llama()
    expected = outcome(model, as_single_rows)
    torch.testing.assert_close(outcome(model, run), expected, rtol=1e-5, atol=1e-5)


def test_a_llama_sees_segments_under_checkpointing() -> None:
    model = llama()
    expected = outcome(model, as_segments)
    for layer in model.model.layers:
        layer.forward = functools.partial(checkpoint, layer.forward, use_reentrant=False)
    torch.testing.assert_close(outcome(model, as_segments), expected)


def test_everything_else_equals_sdpa() -> None:
    model = llama().eval()
    prompt = torch.stack([torch.arange(6), torch.arange(6) + 20])
    mask = torch.ones_like(prompt)
    mask[0, :2] = 0
    written = []
    for name in (NAME, "sdpa"):
        model.set_attn_implementation(name)
        written.append(
            model.generate(prompt, attention_mask=mask, max_new_tokens=8, do_sample=False)
        )
    assert torch.equal(*written)


def test_no_mask_is_built_for_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    model = llama()

    def fail(*_: Any, **__: Any) -> None:
        pytest.fail("a mask was built")

    monkeypatch.setattr("transformers.masking_utils.sdpa_mask", fail)
    register()
    try:
        as_segments(model)
    finally:
        monkeypatch.undo()
        register()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"s_aux": torch.zeros(4)}, "sinks"),
        ({"softcap": 30.0}, "soft cap"),
        ({"dropout": 0.1}, "dropout"),
        ({"is_causal": False}, "causal"),
        ({"position_bias": torch.zeros(1)}, "position bias"),
        ({"cache": object()}, "cache"),
    ],
)
def test_refuses_what_segments_cannot_do(options: dict[str, Any], reason: str) -> None:
    attend = transformers.AttentionInterface()[NAME]
    query, key, value = (rows.transpose(0, 1)[None] for rows in sample(9, 4, 2, 6))
    inputs = segment_inputs((0, 9)) | options
    with pytest.raises(NotImplementedError, match=reason):
        attend(torch.nn.Module(), query, key, value, **inputs)
    with pytest.raises(NotImplementedError, match="several rows"):
        attend(torch.nn.Module(), query.expand(2, -1, -1, -1), key, value, **inputs)


@pytest.mark.parametrize("window", [2, 5, 8])
def test_the_window_a_layer_speaks_of_is_kept(window: int) -> None:
    attend = transformers.AttentionInterface()[NAME]
    inputs = sample(9, 4, 2, 6)
    query, key, value = (rows.transpose(0, 1)[None] for rows in inputs)
    options = segment_inputs((0, 4, 9)) | {"sliding_window": window, "scaling": SCALE}
    out, _ = attend(torch.nn.Module(), query, key, value, **options)
    torch.testing.assert_close(out[0], one_by_one(inputs, [4, 5], window))


def test_attention_dropout_of_a_model_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="dropout"):
        as_segments(llama(attention_dropout=0.1))


def test_another_attention_fails_rather_than_mixing_segments() -> None:
    model = llama()
    model.set_attn_implementation("sdpa")
    with pytest.raises(RuntimeError):
        as_segments(model)
