from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lorafw.builtin.templates.glm import Glm as GlmEncoder
from lorafw.contracts import ModelBundle, ModelRequest
from lorafw.errors import ModelError
from lorafw.models.added_tokens import added_ids
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import ToyEncoder, toy_rows, toy_tokenizer
from lorafw.testing.values import as_if_trained, distance
from lorafw.types import Capability, Layout, PromptExample, Task
from lorafw_glm.model import Glm

CPU = torch.device("cpu")


def glm(path: Path, **options: Any) -> Glm:
    return Glm.from_mapping({"path": str(path), **options}, where="model")


def build(builder: Glm) -> ModelBundle:
    return builder.build(ModelRequest(Task.CAUSAL_LM, CPU), builder.tokenizer())


def test_an_original_becomes_a_bundle(make_original: Callable[..., Path]) -> None:
    builder = glm(make_original())
    builder.preflight()
    bundle = build(builder)
    assert Capability.SEGMENTS in bundle.capabilities
    assert bundle.head_weight is not None
    assert {name.rpartition(".")[2] for name in bundle.lora_targets} == {
        *("q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj")
    }


def test_its_config_in_the_other_layout_computes_the_same(
    make_original: Callable[..., Path], tmp_path: Path
) -> None:
    builder = glm(make_original(rope_ratio=50))
    bundle = build(builder)
    module: Any = bundle.module
    module.save_pretrained(tmp_path / "glm")
    (tmp_path / "glm" / "config.json").write_text(json.dumps(dict(builder.native_config())))
    bundle.tokenizer.save_pretrained(tmp_path / "glm")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "glm")
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        assert torch.allclose(plain(ids).logits, module(ids).logits, atol=1e-6)
    words: Any = AutoTokenizer.from_pretrained(tmp_path / "glm")
    text = "今天天气 philosophy\n"
    assert words.encode(text) == bundle.tokenizer.encode(text)
    again = glm(tmp_path / "glm")
    again.preflight()
    assert torch.equal(build(again).module.lm_head.weight, module.lm_head.weight)  # type: ignore[union-attr]


@pytest.mark.parametrize("quantize", ["nf4", "int8"])
def test_quantised_it_is_what_the_other_layout_is_quantised(
    make_original: Callable[..., Path], make_glm: Callable[..., Any], tmp_path: Path, quantize: str
) -> None:
    pytest.importorskip("bitsandbytes")
    original = glm(make_original(), quantize=quantize)
    original.preflight()
    make_glm().save_pretrained(tmp_path / "glm")
    other = glm(tmp_path / "glm", tokenizer_path=original.path, quantize=quantize)
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        logits, want = (build(builder).module(ids).logits for builder in (original, other))
    assert torch.equal(logits, want)


def test_gradients_are_the_same_in_segments_padded_and_alone(
    make_original: Callable[..., Path],
) -> None:
    rows = toy_rows(4, seed=3, longest=24, vocabulary=300)
    batches = [[rows], [rows], [[row] for row in rows]]
    layouts = [Layout.SEGMENTS, Layout.PADDED, Layout.PADDED]
    model = ToyInjector(r=4).inject(build(glm(make_original())))
    as_if_trained(model)
    found = []
    for groups, layout in zip(batches, layouts, strict=True):
        model.bundle.module.zero_grad()
        for group in groups:
            batch = ToyEncoder().collate(group, layout, 0)
            logits = model.bundle.logits(model.bundle.hidden(batch.inputs).rows)
            labels = batch.labels.flatten()
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, -2), labels, ignore_index=-100, reduction="sum"
            )
            loss.backward()
        found.append(
            {n: p.grad.clone() for n, p in model.trainable().items() if p.grad is not None}
        )
    for other in found[1:]:
        assert other.keys() == found[0].keys()
        for name, gradient in found[0].items():
            assert distance(other[name], gradient) < 1e-5, name


def test_the_default_encoder_follows_the_tokenizer(
    make_original: Callable[..., Path], tiktoken_folder: Path, tmp_path: Path
) -> None:
    assert glm(make_original()).default_encoder(Task.CAUSAL_LM) == "glm"
    template = {"chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"}
    vocabulary = (tiktoken_folder / "tokenizer.model").read_bytes()
    for name, config, encoder in (("chat", template, "chat"), ("base", {}, "glm")):
        folder = make_original(name=name)
        (folder / "tokenizer.model").write_bytes(vocabulary)
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        assert glm(folder).default_encoder(Task.CAUSAL_LM) == encoder
    # sentencepiece's file knows no special tokens in a text, so no template can be written in it.
    templated = make_original(name="templated")
    (templated / "tokenizer_config.json").write_text(json.dumps(template))
    assert glm(templated).default_encoder(Task.CAUSAL_LM) == "glm"
    toy_tokenizer(chat=True).save_pretrained(tmp_path / "toy")
    elsewhere = glm(templated, tokenizer_path=str(tmp_path / "toy"))
    assert elsewhere.default_encoder(Task.CAUSAL_LM) == "chat"


def test_added_tokens_are_read_where_no_other_special_token_is(
    make_original: Callable[..., Path],
) -> None:
    tokens = ["<|call|>", "quux"]
    builder = glm(make_original(), add_tokens=tokens)
    tokenizer: Any = builder.tokenizer()
    ids = added_ids(tokenizer, tokens)
    found = GlmEncoder().encode(PromptExample("apples </s>", "left<|call|>12 quux"), tokenizer)
    assert found is not None
    assert set(ids) <= {label for label in found.labels if label >= 0}
    assert list(found.input_ids).count(tokenizer.eos_token_id) == 1
    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == "quux"
    bundle = builder.build(ModelRequest(Task.CAUSAL_LM, CPU), tokenizer)
    assert bundle.token_rows == {"model.embed_tokens": ids, "lm_head": ids}


def test_a_tokenizer_of_another_vocabulary_is_refused(make_original: Callable[..., Path]) -> None:
    builder = glm(make_original())
    tokenizer: Any = builder.tokenizer()
    tokenizer.add_tokens([f"word{index}" for index in range(100)])
    tokenizer = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer)
    small = glm(make_original(name="small", padded_vocab_size=400))
    with pytest.raises(ModelError, match=r"word_embeddings\.weight has shape \[512, 32\]"):
        small.build(ModelRequest(Task.CAUSAL_LM, CPU), tokenizer)


def test_a_folder_of_the_family_is_recognised(make_original: Callable[..., Path]) -> None:
    assert Glm.recognises(make_original())
    assert not Glm.recognises(make_original(name="other", model_type="qwen2"))


def test_other_families_are_refused_with_the_way_out(make_original: Callable[..., Path]) -> None:
    folder = make_original(model_type="qwen2")
    with pytest.raises(ModelError, match=r"'qwen2', not a GLM\. Use model auto"):
        glm(folder).preflight()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"quantization_bit": 4}, "quantised already"),
        ({"multi_query_attention": False}, "multi_query_attention is false"),
        ({"num_layers": None}, "num_layers should be"),
    ],
)
def test_what_cannot_be_loaded_is_found_before_it_is(
    make_original: Callable[..., Path], change: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ModelError, match=fault):
        glm(make_original(**change)).preflight()


def test_preflight_needs_no_torch(make_original: Callable[..., Path]) -> None:
    code = (
        "import sys; from lorafw_glm.model import Glm;"
        f"model = Glm(path={str(make_original())!r}); model.preflight();"
        "assert model.default_encoder('causal-lm') == 'glm';"
        "assert not {'torch', 'transformers', 'tokenizers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
