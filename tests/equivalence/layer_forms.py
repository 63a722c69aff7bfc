"""Tiny models of every form of layer that has a fast path, and gradients of adapters in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lorafw.assembly.registry import Registry
from lorafw.contracts import AdaptedModel, ModelBundle
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.testing.toys import ToyEncoder, toy_tokenizer
from lorafw.types import Encoded, Layout

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 4096,
    "initializer_range": 0.15,  # about one over the root of the width, as in trained models
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 3,
}
FORMS: dict[str, dict[str, Any]] = {
    "llama": {},
    "biased-llama": {"attention_bias": True, "mlp_bias": True},
    "wide-heads": {"head_dim": 20, "num_attention_heads": 3, "num_key_value_heads": 1},
    "no-groups": {"num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 12},
    "mistral": {"model_type": "mistral", "sliding_window": None},
    "windowed-mistral": {"model_type": "mistral", "sliding_window": 64},
    "qwen2": {"model_type": "qwen2"},
    "qwen3": {"model_type": "qwen3"},
    "glm": {"model_type": "glm"},
    "old-minimind": {"model_type": "minimind", "generation": "2025-04"},
    "minimind": {"model_type": "minimind", "generation": "2026"},
}
"""Config fields that replace those of a small Llama."""

LENGTHS = (40, 1, 33, 12)


def form_bundle(
    name: str, dtype: torch.dtype = torch.float32, seed: int = 0, **fields: Any
) -> ModelBundle:
    """A model whose weights bf16 holds exactly, so that every dtype has the same ones."""
    model = form_model(seed=seed, **FORMS[name], **fields)
    bundle: ModelBundle
    if model.config.model_type == "minimind":
        bundle = _minimind_bundle(model.to(dtype))
    else:
        bundle = TransformersBundle(model.to(dtype), toy_tokenizer(), base=f"{name}-{seed}")
    return bundle


def form_model(*, seed: int = 0, model_type: str = "llama", **fields: Any) -> Any:
    """A transformers model of random weights, biases and norms among them."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _built(model_type, SIZES | fields)
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.data += 0.1 * torch.randn_like(parameter)
            parameter.data = parameter.data.bfloat16().float()
    return model


def _built(model_type: str, fields: Mapping[str, Any]) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    from lorafw.models.loading import quiet

    if model_type == "minimind":
        return _minimind(fields)
    with quiet():
        config = AutoConfig.for_model(model_type, **fields)
        return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")


def _minimind(fields: Mapping[str, Any]) -> Any:
    from lorafw_minimind._config import transformers_config  # type: ignore[import-untyped]
    from lorafw_minimind._network import MiniMindForCausalLM  # type: ignore[import-untyped]

    model = MiniMindForCausalLM(transformers_config(_architecture(fields), tied=True, eos=2))
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(std=fields["initializer_range"])
    return model


def _architecture(fields: Mapping[str, Any]) -> Any:
    from lorafw_minimind.architecture import Architecture  # type: ignore[import-untyped]
    from lorafw_minimind.generations import Generation  # type: ignore[import-untyped]

    rest = {
        "num_experts": 0,
        "num_shared_experts": 0,
        "num_experts_per_tok": 0,
        "norm_topk_prob": True,
        "aux_loss_coef": 0.0,
        "sequence_balance": False,
        "inference_rope_scaling": False,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e6,
    }
    given = {**rest, **fields}
    generation = next(each for each in Generation if str(given["generation"]) in each.value)
    known = {name: given[name] for name in Architecture.__slots__ if name != "generation"}
    return Architecture(generation=generation, **known)


def _minimind_bundle(model: Any) -> ModelBundle:
    from lorafw_minimind._bundle import MiniMindBundle  # type: ignore[import-untyped]

    form = _architecture({**SIZES, "generation": "2026"})
    made: ModelBundle = MiniMindBundle(
        model, toy_tokenizer(), base="minimind", form=form, targets="all-linear"
    )
    return made


def adapted(bundle: ModelBundle, injector: str = "custom", **options: Any) -> AdaptedModel:
    """A bundle with an adapter that acts, about a tenth as strong as the weights."""
    part: Any = Registry().load("injector", injector)
    model: AdaptedModel = part.from_mapping({"r": 4, **options}, where="injector").inject(bundle)
    model.reset(seed=0)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in sorted(model.trainable().items()):
        if name.endswith(".lora_B.weight"):
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.03)
    model.train(mode=True)
    return model


def inputs(
    lengths: Sequence[int] = LENGTHS, layout: Layout = Layout.SEGMENTS, *, left: bool = False
) -> dict[str, Tensor]:
    """Rows of random tokens, laid out as models take them; padding stands behind, or in front."""
    chance = torch.Generator().manual_seed(1)
    drawn = [torch.randint(4, 64, (length,), generator=chance).tolist() for length in lengths]
    batch = ToyEncoder().collate([Encoded(row, row) for row in drawn], layout, 3)
    made = dict(batch.inputs)
    if left:
        flipped = [row[::-1] for row in drawn]
        turned = ToyEncoder().collate([Encoded(row, row) for row in flipped], layout, 3).inputs
        made = {name: tensor.flip(1) for name, tensor in turned.items()}
    return made


def gradients(model: AdaptedModel, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The gradient of every factor, in fp64, and the real rows that the model made."""
    rows = model.bundle.hidden(given).rows
    mask = given.get("attention_mask")
    rows = rows if mask is None else rows[mask.bool()]
    wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
    chance = torch.Generator().manual_seed(2)
    direction = torch.randn(wide.shape, generator=chance)
    parameters = dict(model.trainable())
    made = torch.autograd.grad((wide * direction).sum(), list(parameters.values()))
    found = {name: grad.double() for name, grad in zip(parameters, made, strict=True)}
    return {**found, "rows": rows.detach().double()}


def far(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> float:
    """How far all tensors together are off, as a share of what is wanted."""
    assert found.keys() == wanted.keys()
    off = sum(float((found[name] - wanted[name]).square().sum()) for name in wanted)
    return float((off / sum(float(each.square().sum()) for each in wanted.values())) ** 0.5)


def gradients_alone(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the rows."""
    return {name: tensor for name, tensor in found.items() if name != "rows"}
