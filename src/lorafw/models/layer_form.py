"""The Llama form of a decoder layer, recognised in a module by the names of its parts."""

from __future__ import annotations

from typing import Any

from torch import nn

from lorafw.contracts.model import LayerForm

__all__ = ["layer_form"]

_ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
_APART = ("mlp.gate_proj", "mlp.up_proj")
_TOGETHER = ("mlp.gate_up_proj",)
_DOWN = "mlp.down_proj"
_NORMS = ("input_layernorm", "post_attention_layernorm")
_INTERLEAVED = ("glm",)
_GATED_BY_SILU = ("silu", "swish")


def layer_form(layer: nn.Module, config: Any) -> LayerForm | str:
    """What the layer seems to be, or why it is not of this form.

    The names tell what it is made of; that it computes what a layer of this form computes is for
    whoever relies on it to prove, on a few tokens.

    Args:
        layer: one decoder layer.
        config: the transformers config of its model.
    """
    named = dict(layer.named_modules())
    gate_up = _TOGETHER if _TOGETHER[0] in named else _APART
    parts = (*_ATTENTION, *gate_up, _DOWN, *_NORMS)
    if missing := [name for name in parts if name not in named]:
        return f"it has no {missing[0]}"
    if strange := _strange(layer, named, parts):
        return f"it has {strange} as well"
    config = config.get_text_config(decoder=True)
    if (act := _activation(config)) not in _GATED_BY_SILU:
        return f"its gates go through {act}, not silu"
    attention: Any = named["self_attn"]
    if (eps := _eps(named[_NORMS[0]])) is None:
        return f"its {_NORMS[0]} is no RMSNorm"
    head_norms = ("self_attn.q_norm", "self_attn.k_norm")
    return LayerForm(
        norms=_NORMS,
        qkv=_ATTENTION[:3],
        out=_ATTENTION[3],
        head_norms=head_norms if head_norms[0] in named else (),
        gate_up=gate_up,
        down=_DOWN,
        head_dim=attention.head_dim,
        scale=float(getattr(attention, "scaling", attention.head_dim**-0.5)),
        eps=eps,
        # Some attentions know their own window, others look it up in the config of the model.
        window=getattr(attention, "sliding_window", getattr(config, "sliding_window", None)),
        interleaved=config.model_type in _INTERLEAVED,
    )


def _eps(norm: Any) -> float | None:
    eps = getattr(norm, "variance_epsilon", None) or getattr(norm, "eps", None)
    return eps if getattr(norm, "bias", None) is None else None


def _activation(config: Any) -> str:
    name = getattr(config, "hidden_act", None) or getattr(config, "hidden_activation", "silu")
    return str(name)


def _strange(layer: nn.Module, named: dict[str, nn.Module], parts: tuple[str, ...]) -> str:
    """The first module with parameters that is none of the parts, nor inside one, by name."""
    known = {*parts, "self_attn.q_norm", "self_attn.k_norm"}
    inside = tuple(f"{name}." for name in known)  # an adapter may hold the layer that was there
    for name, module in named.items():
        own = next(module.parameters(recurse=False), None)
        if own is not None and name not in known and not name.startswith(inside):
            return name or type(layer).__name__
    return ""
