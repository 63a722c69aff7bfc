"""Model `auto` on one tiny model of each of many families, made from configs."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lorafw.builtin.auto import Auto
from lorafw.contracts import ModelBundle, ModelRequest
from lorafw.models.loading import quiet
from lorafw.testing.toys import toy_tokenizer
from lorafw.types import Capability, Task

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 3,
}
GPT: dict[str, Any] = {
    "vocab_size": 64,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SMALL: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}

QKVO = frozenset({"q_proj", "k_proj", "v_proj", "o_proj"})
GATED = QKVO | {"gate_proj", "up_proj", "down_proj"}
NEOX = frozenset({"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"})
OPT = frozenset({"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"})
GPT2 = frozenset({"c_attn", "c_proj", "c_fc"})
GLM = QKVO | {"gate_up_proj", "down_proj"}


@dataclass(frozen=True)
class Family:
    """A family's config, the last names of its targets, and whether it takes segments.

    `attention` is the implementation whose logits are compared with; None for the family's first.
    """

    name: str
    config: dict[str, Any]
    targets: frozenset[str]
    segments: bool = True
    label: str = ""
    attention: str | None = "eager"


FAMILIES = [
    Family("qwen2", SIZES | {"tie_word_embeddings": True}, GATED),
    Family("qwen3", SIZES, GATED),
    Family("mistral", SIZES | {"sliding_window": None}, GATED),
    Family("mistral", SIZES | {"sliding_window": 4}, GATED, label="window"),
    Family("ministral", SIZES | {"sliding_window": 4}, GATED),
    Family("gemma", SIZES, GATED),
    Family(
        "gemma2",
        SIZES
        | {"sliding_window": 4, "final_logit_softcapping": 3.0, "attn_logit_softcapping": 5.0},
        GATED,
        segments=False,  # a soft cap on attention scores
    ),
    Family(
        "gemma3_text",
        SIZES | {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]},
        GATED,
    ),
    Family("phi", SIZES, frozenset({"q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"})),
    Family(
        "phi3",
        SIZES | {"sliding_window": 5},
        frozenset({"qkv_proj", "o_proj", "gate_up_proj", "down_proj"}),
    ),
    Family("gpt2", GPT, GPT2),
    Family("gpt_bigcode", GPT, GPT2),
    Family("gpt_neox", SIZES, NEOX),
    Family(
        "gpt_neo",
        SMALL
        | {
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 4,
            "intermediate_size": 48,
            "max_position_embeddings": 64,
        },
        frozenset({"q_proj", "k_proj", "v_proj", "out_proj", "c_fc", "c_proj"}),
        segments=False,
    ),
    Family(
        "gptj",
        GPT | {"rotary_dim": 4},
        frozenset({"q_proj", "k_proj", "v_proj", "out_proj", "fc_in", "fc_out"}),
        segments=False,
    ),
    Family("falcon", SMALL | {"alibi": False}, NEOX, segments=False),
    Family("falcon", SMALL | {"alibi": True}, NEOX, segments=False, label="alibi", attention=None),
    Family("bloom", SMALL | {"n_layer": 2, "n_head": 4}, NEOX, segments=False),
    Family(
        "opt",
        SMALL
        | {
            "ffn_dim": 48,
            "max_position_embeddings": 64,
            "word_embed_proj_dim": 32,
            "init_std": 0.2,
        },
        OPT,
    ),
    Family(
        "mpt",
        {
            "vocab_size": 64,
            "d_model": 32,
            "n_layers": 2,
            "n_heads": 4,
            "max_seq_len": 64,
            "initializer_range": 0.2,
        },
        frozenset({"Wqkv", "out_proj", "up_proj", "down_proj"}),
        segments=False,
    ),
    Family("cohere", SIZES | {"logit_scale": 0.25}, GATED),
    Family("cohere2", SIZES | {"logit_scale": 0.25, "sliding_window": 4}, GATED),
    Family("granite", SIZES | {"logits_scaling": 3.0}, GATED),
    Family("olmo2", SIZES, GATED),
    Family("olmo3", SIZES | {"sliding_window": 4}, GATED),
    Family("stablelm", SIZES, GATED, segments=False),
    Family("starcoder2", SIZES | {"sliding_window": 4}, QKVO | {"c_fc", "c_proj"}),
    Family("glm", SIZES | {"partial_rotary_factor": 0.5}, GLM),
    Family("glm4", SIZES | {"partial_rotary_factor": 0.5}, GLM),
    Family("smollm3", SIZES, GATED),
    Family("qwen3_moe", SIZES | EXPERTS, QKVO),
    Family("qwen2_moe", SIZES | EXPERTS | {"shared_expert_intermediate_size": 16}, GATED),
    Family("mixtral", SIZES | {"num_local_experts": 4}, QKVO),
    Family("nemotron", SIZES, QKVO | {"up_proj", "down_proj"}, segments=False),
]


@pytest.fixture(scope="module")
def bundle_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The model of a family, from a folder through `auto`; each is built once."""

    @functools.cache
    def built(index: int) -> tuple[Path, ModelBundle]:
        folder = _saved(FAMILIES[index], tmp_path_factory.mktemp("family"))
        builder = Auto.from_mapping({"path": str(folder)}, where="model")
        builder.preflight()
        request = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
        return folder, builder.build(request, builder.tokenizer())

    return built


def _saved(family: Family, folder: Path) -> Path:
    from transformers import AutoConfig, AutoModelForCausalLM

    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family.name, **family.config))
        model.save_pretrained(folder)
    toy_tokenizer().save_pretrained(folder)
    return folder


every = pytest.mark.parametrize(
    "index",
    range(len(FAMILIES)),
    ids=[" ".join(filter(None, (family.name, family.label))) for family in FAMILIES],
)


@every
def test_targets_are_all_linears_of_the_layers(bundle_of: Any, index: int) -> None:
    bundle = bundle_of(index)[1]
    assert {name.rpartition(".")[2] for name in bundle.lora_targets} == FAMILIES[index].targets
    head, table = (
        getattr(bundle.module, f"get_{kind}_embeddings")().weight for kind in ("output", "input")
    )
    for name in bundle.lora_targets:
        weight = bundle.module.get_parameter(f"{name}.weight")
        assert weight is not head
        assert weight is not table
        assert weight.ndim == 2


@every
def test_logits_are_those_of_transformers(bundle_of: Any, index: int) -> None:
    from transformers import AutoModelForCausalLM

    folder, bundle = bundle_of(index)
    with quiet():
        own = AutoModelForCausalLM.from_pretrained(
            folder, attn_implementation=FAMILIES[index].attention
        )
    batch = _padded(_rows())
    with torch.no_grad():
        want = own(**batch, use_cache=False).logits
        have = bundle.logits(bundle.hidden(batch).rows)
    mask = batch["attention_mask"].bool()
    _assert_close(have[mask], want[mask])


@every
def test_all_layouts_give_the_same_rows_and_gradients(bundle_of: Any, index: int) -> None:
    bundle = bundle_of(index)[1]
    assert (Capability.SEGMENTS in bundle.capabilities) == FAMILIES[index].segments
    alone = _learned(bundle, [_padded([row]) for row in _rows()])
    layouts = [_padded(_rows())]
    if Capability.SEGMENTS in bundle.capabilities:
        layouts.append(_segments(_rows()))
    for inputs in layouts:
        for have, want in zip(_learned(bundle, [inputs]), alone, strict=True):
            _assert_close(have, want)


def _rows() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(4, 64, (length,), generator=generator) for length in (7, 1, 18, 4)]


def _padded(rows: list[Tensor]) -> dict[str, Tensor]:
    ids = pad_sequence(rows, batch_first=True, padding_value=3)
    lengths = torch.tensor([len(row) for row in rows])
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    return {"input_ids": ids, "attention_mask": mask}


def _segments(rows: list[Tensor]) -> dict[str, Tensor]:
    lengths = torch.tensor([0, *map(len, rows)])
    return {
        "input_ids": torch.cat(rows),
        "position_ids": torch.cat([torch.arange(len(row)) for row in rows]),
        "cu_seqlens": lengths.cumsum(0).int(),
    }


def _learned(bundle: ModelBundle, batches: list[dict[str, Tensor]]) -> tuple[Tensor, ...]:
    """The hidden rows of all tokens, then gradients of every parameter the layers have."""
    parameters = [p for name, p in bundle.module.named_parameters() if p.ndim == 2]
    for parameter in parameters:
        parameter.requires_grad_(True)
    found = []
    for inputs in batches:
        rows = bundle.hidden(inputs).rows
        mask = inputs.get("attention_mask")
        found.append(rows if mask is None else rows[mask.bool()])
    rows = torch.cat(found)
    direction = torch.randn(rows.shape, generator=torch.Generator().manual_seed(2))
    gradients = torch.autograd.grad((rows * direction).sum(), parameters, allow_unused=True)
    bundle.module.requires_grad_(False)
    return (rows.detach(), *(g for g in gradients if g is not None))


def _assert_close(have: Tensor, want: Tensor) -> None:
    """To 1e-5 of the largest value: single values near zero are sums of large ones."""
    torch.testing.assert_close(have, want, rtol=0, atol=1e-5 * max(1.0, float(want.abs().max())))
