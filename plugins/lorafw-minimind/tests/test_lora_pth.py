from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lorafw.errors import AdapterError, ExportError
from lorafw.types import AdapterSpec, AdapterState, canonical_pair
from lorafw_minimind._permutation import to_halves, to_neighbours
from lorafw_minimind.architecture import Architecture
from lorafw_minimind.generations import Generation, canonical_name, native_name
from lorafw_minimind.lora_pth import lora_tensors, read_lora_pth

FORM = Architecture(
    generation=Generation.LMCONFIG,
    vocab_size=64,
    hidden_size=8,
    intermediate_size=12,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=2,
    head_dim=4,
    rms_norm_eps=1e-5,
    rope_theta=1e6,
    max_position_embeddings=64,
    inference_rope_scaling=False,
    num_experts=0,
    num_shared_experts=0,
    num_experts_per_tok=2,
    norm_topk_prob=True,
    aux_loss_coef=0.1,
    sequence_balance=True,
)
LATEST = replace(FORM, generation=Generation.MINIMIND3)
Q, V, O = (f"model.layers.0.self_attn.{name}_proj" for name in "qvo")


def state(spec: AdapterSpec, scale: float = 1.0) -> AdapterState:
    chance = torch.Generator().manual_seed(0)
    tensors: dict[str, Tensor] = {}
    for module in spec.targets:
        rank = spec.rank_of(module)
        shapes = (rank, 8), (8, rank)
        drawn = (torch.randn(shape, generator=chance) * scale for shape in shapes)
        tensors |= zip(canonical_pair(module), drawn, strict=True)
    return AdapterState(spec, tensors)


def update(adapter: AdapterState, module: str) -> Tensor:
    down, up = (adapter.tensors[name] for name in canonical_pair(module))
    return adapter.spec.scaling_of(module) * up @ down


@pytest.mark.parametrize("form", [FORM, LATEST], ids=["2025-02", "2026"])
def test_what_is_written_and_read_adds_the_same(form: Architecture, tmp_path: Path) -> None:
    spec = AdapterSpec(3, 6.0, (Q, V), rank_pattern={V: 2}, alpha_pattern={V: 5.0})
    adapter = state(spec)
    torch.save(lora_tensors(adapter, form, (Q, V, O), torch.float32), tmp_path / "lora.pth")
    found = read_lora_pth(tmp_path / "lora.pth", form)
    assert (found.spec.rank, found.spec.alpha) == (3, 3.0)  # smaller ranks are filled with zeros
    for module in (Q, V):
        torch.testing.assert_close(update(found, module), update(adapter, module))
    assert not update(found, O).any()


def test_files_of_several_ranks_are_read(tmp_path: Path) -> None:
    tensors = {
        "model.layers.0.self_attn.q_proj.lora.A.weight": torch.ones(2, 8),
        "model.layers.0.self_attn.q_proj.lora.B.weight": torch.ones(8, 2),
        "model.layers.0.self_attn.o_proj.lora.A.weight": torch.ones(4, 8).half(),
        "model.layers.0.self_attn.o_proj.lora.B.weight": torch.ones(8, 4).half(),
    }
    torch.save(tensors, tmp_path / "lora.pth")
    found = read_lora_pth(tmp_path / "lora.pth", LATEST).spec
    assert {m: (found.rank_of(m), found.scaling_of(m)) for m in (Q, O)} == {Q: (2, 1), O: (4, 1)}


def test_the_file_has_the_dtype_asked_for() -> None:
    adapter = state(AdapterSpec(2, 2.0, (Q,)))
    tensors = lora_tensors(adapter, LATEST, (Q,), torch.float16)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    with pytest.raises(ExportError, match=r"too large for torch.float16.*dtype: fp32"):
        lora_tensors(state(adapter.spec, 1e6), LATEST, (Q,), torch.float16)


def test_what_upstream_does_not_adapt_is_refused() -> None:
    adapter = state(AdapterSpec(2, 2.0, (Q, V)))
    with pytest.raises(ExportError, match=r"does not adapt model\.layers\.0\.self_attn\.v_proj"):
        lora_tensors(adapter, FORM, (Q, O), torch.float32)


A, B = (f"layers.0.attention.wq.lora.{letter}.weight" for letter in "AB")
FAULTS: dict[str, tuple[Any, str]] = {
    "no B": ({A: torch.ones(2, 8)}, f"lacks {B}"),
    "nothing": ({}, "holds no tensor"),
    "a weight": ({"layers.0.attention.wq.weight": torch.ones(8, 8)}, "which is no part of LoRA"),
    "ranks": ({A: torch.ones(2, 8), B: torch.ones(8, 3)}, "do not fit each other"),
    "nan": ({A: torch.ones(2, 8), B: torch.full((8, 2), torch.nan)}, "are not finite"),
    "generation": (
        {f"{Q}.lora.A.weight": torch.ones(2, 8), f"{Q}.lora.B.weight": torch.ones(8, 2)},
        "no name of generation 2025-02",
    ),
    "no tensors": ([1], "holds a list"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_is_no_lora_file_is_one_error(tmp_path: Path, fault: str) -> None:
    content, message = FAULTS[fault]
    torch.save(content, tmp_path / "lora.pth")
    with pytest.raises(AdapterError, match=rf"lora\.pth: .*{message}"):
        read_lora_pth(tmp_path / "lora.pth", FORM)


def test_a_missing_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="cannot be read"):
        read_lora_pth(tmp_path / "lora.pth", FORM)


@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 3))
def test_permuting_rows_is_inverted(heads: int, pairs: int, columns: int) -> None:
    form = replace(FORM, num_attention_heads=heads, head_dim=2 * pairs)
    rows = torch.arange(heads * 2 * pairs * columns).view(-1, columns)
    halves = to_halves(Q, rows, form)
    assert torch.equal(to_neighbours(Q, halves, form), rows)
    head = halves[: 2 * pairs]
    assert torch.equal(head[:pairs], rows[: 2 * pairs : 2])
    assert torch.equal(head[pairs:], rows[1 : 2 * pairs : 2])
    assert to_halves(V, rows, form) is rows


PARTS = [
    "attention_norm",
    "ffn_norm",
    *(f"attention.w{letter}" for letter in "qkvo"),
    *(f"feed_forward.{inner}w{n}" for inner in ("", "experts.3.") for n in (1, 2, 3)),
    *(f"feed_forward.shared_experts.w{n}" for n in (1, 2, 3)),
    "feed_forward.gate",
]


@given(st.integers(0, 40), st.sampled_from(PARTS), st.sampled_from(["", ".weight"]))
def test_names_are_inverted(layer: int, part: str, end: str) -> None:
    name = f"layers.{layer}.{part}{end}"
    canonical = canonical_name(name, Generation.LMCONFIG)
    assert canonical.startswith(f"model.layers.{layer}.")
    assert native_name(canonical, Generation.LMCONFIG) == name
    for later in (Generation.MINIMIND2, Generation.MINIMIND3):
        assert native_name(canonical, later) == canonical_name(canonical, later) == canonical
