from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from torch import Tensor

from lorafw.contracts import ExportRequest
from lorafw.errors import ConfigError, ExportError
from lorafw.testing.check import check
from lorafw.testing.toys import toy_folder
from lorafw.testing.values import logits_of
from lorafw.types import Encoded
from lorafw_gguf.lora import GgufLora
from lorafw_gguf.merged import Gguf
from lorafw_gguf.ollama import Ollama

IDS = (5, 900, 11, 4, 70, 3, 1279, 60)
ROPE = {"rope_theta": 10000.0}
LLAMA3 = {
    **ROPE,
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama, tied": ("llama", {"tie_word_embeddings": True}),
    "llama with biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama 3": ("llama", {"rope_parameters": LLAMA3}),
    "linear": ("llama", {"rope_parameters": {**ROPE, "rope_type": "linear", "factor": 2.0}}),
    "yarn": (
        "llama",
        {
            "rope_parameters": {
                **ROPE,
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 32,
            }
        },
    ),
    "mistral": ("mistral", {}),
    "qwen2": ("qwen2", {"vocab_size": 1288}),
    "qwen3": ("qwen3", {"head_dim": 16}),
}


def live_logits(request: ExportRequest) -> Tensor:
    return logits_of(request.model.bundle, [Encoded(IDS, IDS)])


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_alone_computes_what_the_live_model_does(
    kind: str,
    small: Callable[..., Path],
    asked: Callable[..., ExportRequest],
    tmp_path: Path,
) -> None:
    family, fields = KINDS[kind]
    request = asked(small(family, **fields))
    Gguf().export(request, tmp_path)
    opened = Gguf().reopen(tmp_path, request.builder)
    assert opened is not None
    assert opened.tied is bool(fields.get("tie_word_embeddings"))
    assert float((opened.logits(IDS) - live_logits(request)).abs().max()) < 1e-4


def test_plain_transformers_reads_the_same_model(
    small: Callable[..., Path], asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    request = asked(small())
    Gguf().export(request, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="model.gguf", dtype=torch.float32
    )
    with torch.no_grad():
        found = model(input_ids=torch.tensor([IDS])).logits[0]
    assert float((found - live_logits(request)).abs().max()) < 1e-4


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "q8_0", "q5_1", "q4_0"])
def test_dequantised_tensors_are_what_was_merged(
    dtype: str, small: Callable[..., Path], asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    request = asked(small(tie_word_embeddings=True))
    Gguf.from_mapping({"dtype": dtype}, where="exporters").export(request, tmp_path)
    merged = dict(request.model.merged_state())
    found = {t.name: t for t in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    assert len(found) == 2 + 2 * 9
    for name, base, kind in (
        ("token_embd.weight", "model.embed_tokens.weight", "q8_0" if "q" in dtype else dtype),
        ("blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight", dtype),
        ("blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight", "f32"),
    ):
        tensor, wanted = found[name], merged[base].numpy()
        assert tensor.tensor_type.name.lower() == kind
        numbers = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(wanted.shape)
        rounded = gguf.dequantize(gguf.quantize(wanted, tensor.tensor_type), tensor.tensor_type)
        assert np.array_equal(numbers, rounded.reshape(wanted.shape))
        assert kind != "f32" or np.array_equal(numbers, wanted)


def test_queries_and_keys_have_the_row_order_of_llama_cpp(
    small: Callable[..., Path], asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    request = asked(small())
    Gguf().export(request, tmp_path)
    found = {t.name: t.data for t in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    wanted = dict(request.model.merged_state())["model.layers.0.self_attn.k_proj.weight"].numpy()
    # Row j of a head of 8 goes to 2j if it is of the first half, else to 2(j - 4) + 1.
    order = [0, 4, 1, 5, 2, 6, 3, 7]
    assert np.array_equal(found["blk.0.attn_k.weight"], wanted[[*order, *(8 + i for i in order)]])


def test_rows_that_are_no_whole_blocks_become_f16(
    small: Callable[..., Path], asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    request = asked(small(intermediate_size=48))
    Gguf(dtype="q8_0").export(request, tmp_path)
    kinds = {t.name: t.tensor_type.name for t in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    assert (kinds["blk.0.ffn_up.weight"], kinds["blk.0.ffn_down.weight"]) == ("Q8_0", "F16")


def test_the_header_says_what_llama_cpp_must_know(
    small: Callable[..., Path], asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    request = asked(small(rms_norm_eps=1e-5), encoder={"use": "alpaca"})
    Gguf().export(request, tmp_path)
    reader = gguf.GGUFReader(tmp_path / "model.gguf")

    def value(key: str) -> Any:
        field = reader.get_field(key)
        return None if field is None else field.contents()

    assert value("general.architecture") == "llama"
    assert value("llama.attention.head_count_kv") == 2
    assert value("llama.attention.layer_norm_rms_epsilon") == pytest.approx(1e-5)
    assert (value("tokenizer.ggml.model"), value("tokenizer.ggml.pre")) == ("gpt2", "gpt-2")
    assert len(value("tokenizer.ggml.tokens")) == 1280
    assert value("tokenizer.ggml.token_type")[:8] == [3, 3, 3, 3, 3, 3, 1, 1]
    assert value("tokenizer.ggml.eos_token_id") == 2
    assert value("tokenizer.ggml.add_bos_token") is False
    assert "### Instruction" in value("tokenizer.chat_template")


def test_another_sort_of_tokenizer_is_refused(
    asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    request = asked(toy_folder(tmp_path / "base"), encoder={"use": "prompt"})
    with pytest.raises(ExportError, match=r"WordLevel.*llama\.cpp has BPE"):
        Gguf().export(request, tmp_path)


def test_another_family_is_refused(
    small: Callable[..., Path], asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    request = asked(small("glm", partial_rotary_factor=0.5))
    with pytest.raises(ExportError, match=r"type 'glm'; GGUF is written of llama.*merged"):
        Gguf().export(request, tmp_path)


def test_positions_that_llama_cpp_scales_otherwise_are_refused(
    small: Callable[..., Path], asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    folder = small()
    config = json.loads((folder / "config.json").read_text())
    rope = {"rope_parameters": {**ROPE, "rope_type": "dynamic", "factor": 2.0}}
    (folder / "config.json").write_text(json.dumps({**config, **rope}))
    with pytest.raises(ExportError, match="does not scale positions"):
        Gguf().export(asked(folder), tmp_path)


def test_a_qwen2_that_llama_cpp_could_not_load_is_refused(
    small: Callable[..., Path], asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    request = asked(small("qwen2", vocab_size=1288, hidden_size=64))
    with pytest.raises(ExportError, match="as the model is wide"):
        Gguf().export(request, tmp_path)


def test_a_file_that_was_cut_off_is_refused(
    small: Callable[..., Path], asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    request = asked(small())
    (file,) = Gguf().export(request, tmp_path)
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ExportError, match=r"model\.gguf: cannot be read by gguf"):
        Gguf().reopen(tmp_path, request.builder)


@pytest.mark.parametrize(("dtype", "rounds"), [("auto", False), ("f32", False), ("f16", True)])
def test_it_says_whether_it_rounds(
    dtype: str, rounds: bool, small: Callable[..., Path], asked: Callable[..., ExportRequest]
) -> None:
    exporter = Gguf.from_mapping({"dtype": dtype}, where="exporters")
    assert exporter.rounds(asked(small())) is rounds


def test_another_family_is_refused_before_training(
    small: Callable[..., Path], asked: Callable[..., ExportRequest]
) -> None:
    request = asked(small())
    Gguf().foresee(request)
    request.model.bundle.module.config.model_type = "glm"
    for exporter in (Gguf(), GgufLora(), Ollama()):
        with pytest.raises(ExportError, match="a model of type 'glm'"):
            exporter.foresee(request)


def test_the_kit_tries_it_on_a_model_that_it_takes() -> None:
    told: list[tuple[str, str]] = []
    kept = check("exporter", Gguf(), lambda _, outcome, detail: told.append((outcome, detail)))
    assert kept, told
    assert {outcome for outcome, _ in told} == {"ok"}


def test_blocks_have_to_be_accepted_before_training() -> None:
    Gguf(dtype="q8_0", accept_loss=True).preflight()
    Gguf(dtype="f16").preflight()  # a model in f16 loses nothing by it
    with pytest.raises(ConfigError, match=r"q8_0 rounds every weight.*accept_loss"):
        Gguf(dtype="q8_0").preflight()


def test_it_says_about_how_much_it_writes(
    small: Callable[..., Path], asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    request = asked(small(hidden_size=128, intermediate_size=256))
    (file,) = Gguf(dtype="q8_0").export(request, tmp_path)
    assert Gguf(dtype="q8_0").expected_bytes(request) == pytest.approx(file.stat().st_size, rel=0.2)


def test_real_weights_and_their_sentencepiece_vocabulary(
    shared: Path, asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    request = asked(shared / "models/stories260k-llama", encoder={"use": "prompt"})
    Gguf().export(request, tmp_path)
    opened = Gguf().reopen(tmp_path, request.builder)
    assert opened is not None
    assert opened.tokenizer is not None
    expected = json.loads((shared / "models/stories260k.expected.json").read_text())
    for case in expected["tokenizer"]["cases"]:
        wanted = request.model.bundle.tokenizer.encode(case["text"])
        assert opened.tokenizer.encode(case["text"]) == wanted, case["text"]
