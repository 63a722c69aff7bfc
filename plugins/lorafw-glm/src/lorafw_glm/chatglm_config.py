"""The config of an original ChatGLM checkpoint, in the words of transformers' `GlmConfig`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorafw.errors import ModelError
from lorafw_glm.published import is_chatglm2

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SIZES = {
    "padded_vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "ffn_hidden_size": "intermediate_size",
    "num_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "multi_query_group_num": "num_key_value_heads",
    "kv_channels": "head_dim",
    "seq_length": "max_position_embeddings",
}
_KEPT = ("torch_dtype", "dtype")

# Key, the one value that Glm computes, and what the key means if it is not in the file.
_FIXED: tuple[tuple[str, object, object], ...] = (
    ("multi_query_attention", True, False),
    ("add_bias_linear", False, False),
    ("apply_residual_connection_post_layernorm", False, False),
    ("post_layer_norm", True, True),
    ("rmsnorm", True, True),
    ("original_rope", True, True),
    ("tie_word_embeddings", False, False),
    ("pre_seq_len", None, None),
    ("vision_config", None, None),
)
_THETA = 10000.0
_END = 2  # </s>, in a ChatGLM2 or 3 whose config.json does not say
_INTERPOLATES = "/ self.rope_ratio"


def glm_fields(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The fields of a `GlmConfig` that computes what the original does.

    They are written with the names that transformers 4 and 5 both read. The rotary base and the
    names are those of transformers' own conversion (models/glm/convert_glm_weights_to_hf.py).

    Args:
        config: what `config.json` holds, of model type `chatglm`.
        folder: where it was found, for messages; and for `modeling_chatglm.py`, see `_rope`.

    Raises:
        ModelError: a key is missing or of another type, or has a value that Glm cannot express.
    """
    where = f"{folder / 'config.json'}"
    _refuse(config, where)
    fields: dict[str, Any] = {"model_type": "glm", "architectures": ["GlmForCausalLM"]}
    fields |= {ours: _size(config, theirs, where) for theirs, ours in _SIZES.items()}
    fields |= {
        "rms_norm_eps": _number(config, "layernorm_epsilon", 1e-5, where),
        "attention_bias": bool(config.get("add_qkv_bias", False)),
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "partial_rotary_factor": 0.5,
    }
    fields |= _rope(config, folder) | _special_ids(config, fields["vocab_size"], where)
    if fields["num_attention_heads"] % fields["num_key_value_heads"]:
        fault = "num_attention_heads is no multiple of multi_query_group_num."
        raise ModelError(fault, where=where)
    return fields | {key: config[key] for key in _KEPT if config.get(key) is not None}


def _refuse(config: Mapping[str, Any], where: str) -> None:
    if config.get("position_encoding_2d") or "inner_hidden_size" in config:
        fault = "this is the first ChatGLM-6B, whose architecture is another."
        raise ModelError(fault, where=where, mend="Take ChatGLM2, ChatGLM3 or GLM-4.")
    if config.get("quantization_bit"):
        raise prequantised(f"quantization_bit is {config['quantization_bit']}", where)
    for key, wanted, default in _FIXED:
        if (value := config.get(key, default)) != wanted:
            fault = f"{key} is {_short(value)}, which transformers' Glm cannot express."
            mend = f"Only checkpoints with {key} {_short(wanted)} can be loaded."
            raise ModelError(fault, where=where, mend=mend)


def prequantised(fault: str, where: str) -> ModelError:
    """The error for weights that were quantised before they were published."""
    mend = "Fetch the model that is not quantised, then set model.quantize."
    return ModelError(f"{fault}: the weights are quantised already.", where=where, mend=mend)


def _rope(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The rotary base, or the stretch of positions.

    `rope_ratio` means two things: ChatGLM3 and GLM-4 multiply the base with it, ChatGLM2-32K
    divides positions by it. The folder's own code, which is read but never run, tells which, or
    else the name it was published under.
    """
    ratio = _number(config, "rope_ratio", 1.0, f"{folder / 'config.json'}")
    if ratio == 1.0 or not _divides_positions(folder):
        return {"rope_theta": _THETA * ratio}
    return {"rope_theta": _THETA, "rope_scaling": {"rope_type": "linear", "factor": ratio}}


def _divides_positions(folder: Path) -> bool:
    code = folder / "modeling_chatglm.py"
    if code.is_file():
        return _INTERPOLATES in code.read_text(encoding="utf-8", errors="replace")
    return is_chatglm2(folder)


def _special_ids(config: Mapping[str, Any], vocabulary: int, where: str) -> dict[str, Any]:
    """Ids that end and fill rows, said even where there is none: Glm's defaults are GLM-4's."""
    end, pad = config.get("eos_token_id", _END), config.get("pad_token_id")
    for key, ids in (("eos_token_id", end), ("pad_token_id", [] if pad is None else pad)):
        for one in ids if isinstance(ids, list) else [ids]:
            if not isinstance(one, int) or not 0 <= one < vocabulary:
                fault = f"{key} is {_short(one)}, which is no id of {vocabulary} tokens."
                raise ModelError(fault, where=where)
    return {"eos_token_id": end, "pad_token_id": pad}


def _size(config: Mapping[str, Any], key: str, where: str) -> int:
    value = config.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    fault = f"{key} should be a whole number above 0, not {_short(value)}."
    raise ModelError(fault, where=where, mend="Is this the config.json of a ChatGLM model?")


def _number(config: Mapping[str, Any], key: str, default: float, where: str) -> float:
    value = config.get(key, default)
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    raise ModelError(f"{key} should be a number above 0, not {_short(value)}.", where=where)


def _short(value: object) -> str:
    """A value as JSON has it, cut to what a message can hold."""
    names: dict[object, str] = {True: "true", False: "false", None: "null"}
    known = names.get(value) if isinstance(value, bool | None) else None
    return known or repr(value)[:40]
