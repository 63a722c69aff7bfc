"""What a MiniMind checkpoint is made of: sizes from its tensors, the rest as it is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from lorafw.errors import ModelError
from lorafw_minimind.generations import DEFAULTS, Defaults, Generation

V = TypeVar("V", bool, int, float)

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of tensors by canonical name."""

_LAYER = "model.layers.0."
# A JSON file may say 1 where it means 1.0.
_NARROWER = {float: (int,)}
# What the 2025-02 config calls the fields of later ones.
_OLDER = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "num_key_value_heads": "n_kv_heads",
    "intermediate_size": "hidden_dim",
    "rms_norm_eps": "norm_eps",
    "max_position_embeddings": "max_seq_len",
    "router_aux_loss_coef": "aux_loss_alpha",
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """Everything the network's computation depends on, apart from its weights.

    Attributes:
        num_experts: routed experts of a layer; 0 for a dense model.
        num_shared_experts: experts every token goes through besides.
        sequence_balance: the routers' balance is asked of every sequence, not of the whole batch.
        inference_rope_scaling: YaRN, 16 times the 2048 positions of training.
    """

    generation: Generation
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float
    max_position_embeddings: int
    inference_rope_scaling: bool
    num_experts: int
    num_shared_experts: int
    num_experts_per_tok: int
    norm_topk_prob: bool
    aux_loss_coef: float
    sequence_balance: bool


@dataclass(frozen=True, slots=True)
class Declared:
    """What is said about a checkpoint outside its tensors; an option goes before `config.json`.

    Attributes:
        options: by the names that `config.json` has since 2025-04; None where not given.
        config: the fields of `config.json`, of either spelling; empty without one.
        where: the checkpoint, for errors.
    """

    where: str
    options: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    def get(self, name: str) -> Any:
        """The value of a field, or None if nobody says."""
        older = _OLDER.get(name, name)
        found = (self.options.get(name), self.config.get(name), self.config.get(older))
        return next((value for value in found if value is not None), None)

    def value(self, name: str, default: V) -> V:
        """The value of a field; `default`, whose type it must have, if nobody says."""
        found = self.get(name)
        if found is None:
            return default
        kinds = {type(default), *_NARROWER.get(type(default), ())}
        if type(found) not in kinds or found < 0:
            self.fail(f"config.json says {name} {found!r}.", f"Expected: such as {default!r}.")
        return type(default)(found)

    def fail(self, fault: str, mend: str) -> NoReturn:
        """Refuse the checkpoint."""
        raise ModelError(fault, where=self.where, mend=mend)


def read_architecture(generation: Generation, shapes: Shapes, declared: Declared) -> Architecture:
    """Sizes from the tensors, and what they do not show from options, config or upstream's code.

    Raises:
        ModelError: a tensor is missing, or what is declared does not fit the tensors.
    """
    defaults = DEFAULTS[generation]
    heads, kv_heads, head_dim = _heads(shapes, declared, defaults)
    vocabulary, width = _shape(shapes, "model.embed_tokens.weight", declared)
    experts = _count(shapes, r"model\.layers\.0\.mlp\.experts\.(\d+)\.")
    up = "mlp.experts.0.gate_proj" if experts else "mlp.gate_proj"
    found = Architecture(
        generation=generation,
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=_shape(shapes, f"{_LAYER}{up}.weight", declared)[0],
        num_hidden_layers=_count(shapes, r"model\.layers\.(\d+)\."),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        rms_norm_eps=declared.value("rms_norm_eps", defaults.norm_eps),
        rope_theta=declared.value("rope_theta", 1e6),
        max_position_embeddings=declared.value("max_position_embeddings", defaults.positions),
        inference_rope_scaling=declared.value("inference_rope_scaling", False),
        num_experts=experts,
        num_shared_experts=_count(shapes, r"model\.layers\.0\.mlp\.shared_experts\.(\d+)\."),
        num_experts_per_tok=declared.value("num_experts_per_tok", defaults.experts_per_token),
        norm_topk_prob=declared.value("norm_topk_prob", True),
        aux_loss_coef=declared.value("router_aux_loss_coef", defaults.aux_loss_coef),
        sequence_balance=declared.value("seq_aux", defaults.sequence_balance),
    )
    _check(found, declared)
    return found


def _heads(shapes: Shapes, declared: Declared, defaults: Defaults) -> tuple[int, int, int]:
    """Heads, key-value heads and the size of a head."""
    queries, keys = (
        _shape(shapes, f"{_LAYER}self_attn.{name}_proj.weight", declared)[0] for name in "qk"
    )
    heads, kv_heads = (
        declared.value(f"num_{kind}_heads", 0) for kind in ("attention", "key_value")
    )
    norm = shapes.get(f"{_LAYER}self_attn.q_norm.weight")
    if norm is None and not heads and not kv_heads:
        heads, kv_heads = defaults.heads, defaults.kv_heads
    size = norm[0] if norm else queries // heads if heads else keys // kv_heads
    found = queries // max(size, 1), keys // max(size, 1)
    wanted = heads or found[0], kv_heads or found[1]
    whole = size % 2 == 0 and (found[0] * size, found[1] * size) == (queries, keys)
    if found != wanted or not whole or found[0] % max(found[1], 1):
        fault = f"{wanted[0]} heads and {wanted[1]} key-value heads do not fit"
        fault += f" the {queries} query and {keys} key channels of its layers."
        declared.fail(fault, "Set model.n_heads and model.n_kv_heads as it was trained.")
    return *found, size


def _check(found: Architecture, declared: Declared) -> None:
    """Compare what `config.json` says of sizes with the tensors, and refuse what is unknown."""
    for name in ("vocab_size", "hidden_size", "num_hidden_layers"):
        told, size = declared.get(name), getattr(found, name)
        if told is not None and told != size:
            fault = f"config.json says {name} {told}, the tensors have {size}."
            declared.fail(fault, "Is this the config of these weights?")
    if found.num_experts and not 1 <= found.num_experts_per_tok <= found.num_experts:
        fault = f"{found.num_experts_per_tok} experts per token of {found.num_experts}."
        declared.fail(fault, "Set model.num_experts_per_tok.")
    if found.rope_theta <= 1:
        declared.fail(f"rope_theta is {found.rope_theta}.", "Set model.rope_theta, such as 1e6.")
    if (rule := declared.get("scoring_func")) not in {None, "softmax"}:
        declared.fail(f"its routers score by {rule!r}.", "Only softmax is known.")


def _shape(shapes: Shapes, name: str, declared: Declared) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None or len(shape) != 2:
        have = "is missing" if shape is None else f"has shape {list(shape)}"
        declared.fail(f"{name} {have}.", "Is the file whole, and a MiniMind model's?")
    return shape


def _count(shapes: Shapes, pattern: str) -> int:
    """How many different numbers the names have in a place."""
    expression = re.compile(pattern)
    return len({match[1] for match in map(expression.match, shapes) if match})


def native_config(form: Architecture, *, tied: bool) -> dict[str, object]:
    """The generation's own `config.json` for an architecture."""
    fields: dict[str, object] = {
        "hidden_size": form.hidden_size,
        "num_hidden_layers": form.num_hidden_layers,
        "num_attention_heads": form.num_attention_heads,
        "num_key_value_heads": form.num_key_value_heads,
        "intermediate_size": form.intermediate_size,
        "rms_norm_eps": form.rms_norm_eps,
        "max_position_embeddings": form.max_position_embeddings,
        "router_aux_loss_coef": form.aux_loss_coef,
    }
    if form.generation is Generation.LMCONFIG:
        fields = {_OLDER[name]: value for name, value in fields.items()}
    elif form.generation is Generation.MINIMIND2:
        fields["aux_loss_alpha"] = fields.pop("router_aux_loss_coef")
    return {
        "model_type": "minimind",
        **fields,
        "vocab_size": form.vocab_size,
        "rope_theta": form.rope_theta,
        "inference_rope_scaling": form.inference_rope_scaling,
        "tie_word_embeddings": tied,
        "dropout": 0.0,
        "use_moe": form.num_experts > 0,
        **_expert_fields(form),
    }


def _expert_fields(form: Architecture) -> dict[str, object]:
    common: dict[str, object] = {
        "num_experts_per_tok": form.num_experts_per_tok,
        "norm_topk_prob": form.norm_topk_prob,
        "seq_aux": form.sequence_balance,
    }
    experts = form.num_experts or 4
    if form.generation is Generation.MINIMIND3:
        width = {"moe_intermediate_size": form.intermediate_size, "head_dim": form.head_dim}
        return {**common, **width, "num_experts": experts}
    shared: object = form.num_shared_experts or 1
    shared = True if form.generation is Generation.LMCONFIG else shared
    return {**common, "n_routed_experts": experts, "n_shared_experts": shared}
