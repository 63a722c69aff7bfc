from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import GlmConfig

from lorafw.errors import ModelError
from lorafw_glm.chatglm_config import glm_fields

CHATGLM2: dict[str, Any] = {
    "model_type": "chatglm",
    "add_bias_linear": False,
    "add_qkv_bias": True,
    "apply_residual_connection_post_layernorm": False,
    "ffn_hidden_size": 13696,
    "hidden_size": 4096,
    "kv_channels": 128,
    "layernorm_epsilon": 1e-05,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "num_attention_heads": 32,
    "num_layers": 28,
    "original_rope": True,
    "padded_vocab_size": 65024,
    "post_layer_norm": True,
    "quantization_bit": 0,
    "rmsnorm": True,
    "seq_length": 32768,
    "torch_dtype": "float16",
    "eos_token_id": 2,
    "pad_token_id": 0,
}
GLM4 = CHATGLM2 | {
    "layernorm_epsilon": 1.5625e-07,
    "num_layers": 40,
    "padded_vocab_size": 151552,
    "vocab_size": 151552,
    "rope_ratio": 500,
    "seq_length": 131072,
    "eos_token_id": [151329, 151336, 151338],
    "pad_token_id": 151329,
    "torch_dtype": "bfloat16",
}


def test_glm_4_becomes_the_config_transformers_publishes(tmp_path: Path) -> None:
    # GlmConfig's defaults are those of GLM-4-9B-chat.
    fields = glm_fields(GLM4, tmp_path)
    config, default = GlmConfig(**fields).to_dict(), GlmConfig().to_dict()
    own = {"architectures", "dtype", "rope_parameters"}
    assert {k: v for k, v in config.items() if k not in own} == {
        k: v for k, v in default.items() if k not in own
    }
    assert config["rope_parameters"]["rope_theta"] == 5_000_000.0
    assert config["rope_parameters"]["partial_rotary_factor"] == 0.5
    assert config["dtype"] == "bfloat16"


def test_chatglm2_keeps_sizes_bias_and_base(tmp_path: Path) -> None:
    config = GlmConfig(**glm_fields(CHATGLM2, tmp_path))
    assert (config.num_hidden_layers, config.vocab_size, config.head_dim) == (28, 65024, 128)
    assert config.attention_bias
    assert config.rope_parameters["rope_theta"] == 10_000.0
    assert (config.eos_token_id, config.pad_token_id, config.bos_token_id) == (2, 0, None)


@pytest.mark.parametrize("told_by", ["code", "name", "hub"])
def test_chatglm2_32k_divides_positions(tmp_path: Path, told_by: str) -> None:
    config = CHATGLM2 | {"rope_ratio": 4}
    folder = tmp_path
    if told_by == "code":
        code = "seq_idx = torch.arange(seq_len, dtype=dtype, device=device) / self.rope_ratio\n"
        (tmp_path / "modeling_chatglm.py").write_text(code)
    elif told_by == "name":
        name = json.dumps({"_name_or_path": "THUDM/chatglm2-6b-32k"})
        (tmp_path / "config.json").write_text(name)
    else:
        folder = tmp_path / "models--THUDM--chatglm2-6b-32k" / "snapshots" / "0123abc"
        folder.mkdir(parents=True)
    rope = GlmConfig(**glm_fields(config, folder)).rope_parameters
    assert (rope["rope_type"], rope["factor"], rope["rope_theta"]) == ("linear", 4.0, 10_000.0)
    assert rope["partial_rotary_factor"] == 0.5


def test_the_folders_code_goes_before_its_name(tmp_path: Path) -> None:
    (tmp_path / "modeling_chatglm.py").write_text("base = base * self.rope_ratio\n")
    (tmp_path / "config.json").write_text('{"_name_or_path": "THUDM/chatglm2-like"}')
    assert glm_fields(CHATGLM2 | {"rope_ratio": 50}, tmp_path)["rope_theta"] == 500_000.0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("multi_query_attention", False),
        ("add_bias_linear", True),
        ("apply_residual_connection_post_layernorm", True),
        ("post_layer_norm", False),
        ("pre_seq_len", 128),
        ("rmsnorm", False),
        ("tie_word_embeddings", True),
        ("vision_config", {"hidden_size": 1792}),
    ],
)
def test_what_glm_cannot_express_is_refused_by_key(tmp_path: Path, key: str, value: Any) -> None:
    with pytest.raises(ModelError, match=rf"config\.json: {key} is .*cannot express"):
        glm_fields(CHATGLM2 | {key: value}, tmp_path)


def test_quantised_folders_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"quantization_bit is 4.*then set model\.quantize"):
        glm_fields(CHATGLM2 | {"quantization_bit": 4}, tmp_path)


def test_the_first_chatglm_is_refused(tmp_path: Path) -> None:
    old = {"model_type": "chatglm", "inner_hidden_size": 16384, "position_encoding_2d": True}
    with pytest.raises(ModelError, match=r"first ChatGLM-6B.*Take ChatGLM2"):
        glm_fields(old, tmp_path)


@pytest.mark.parametrize("value", [None, "28", 0, True, 2.5])
def test_a_size_must_be_one(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ModelError, match="num_layers should be a whole number"):
        glm_fields(CHATGLM2 | {"num_layers": value}, tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("eos_token_id", 65024),
        ("eos_token_id", "</s>"),
        ("eos_token_id", [2, -1]),
        ("pad_token_id", 151329),
        ("pad_token_id", 0.5),
    ],
)
def test_special_ids_must_be_ids(tmp_path: Path, key: str, value: Any) -> None:
    with pytest.raises(ModelError, match=f"{key} is .*no id of 65024 tokens"):
        glm_fields(CHATGLM2 | {key: value}, tmp_path)


def test_what_is_not_said_is_not_glm_4s(tmp_path: Path) -> None:
    silent = {k: v for k, v in CHATGLM2.items() if k not in {"eos_token_id", "pad_token_id"}}
    config = GlmConfig(**glm_fields(silent, tmp_path))
    assert (config.eos_token_id, config.pad_token_id) == (2, None)


def test_heads_must_share_groups_evenly(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no multiple of multi_query_group_num"):
        glm_fields(CHATGLM2 | {"multi_query_group_num": 3}, tmp_path)


def test_the_fields_are_json(tmp_path: Path) -> None:
    assert json.loads(json.dumps(glm_fields(GLM4, tmp_path))) == glm_fields(GLM4, tmp_path)
