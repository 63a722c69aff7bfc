from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch

from lorafw.builtin.auto import Auto
from lorafw.contracts import ModelRequest
from lorafw.errors import ConfigError, ModelError
from lorafw.models import folder as folders
from lorafw.testing.toys import toy_folder, toy_llama, toy_tokenizer
from lorafw.types import Capability, Task

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("toy"))


def auto(**options: Any) -> Auto:
    return Auto.from_mapping(options, where="model")


def folder_of(config: Any, folder: Path) -> Path:
    from transformers import AutoModelForCausalLM

    from lorafw.models.loading import quiet

    with quiet():
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    toy_tokenizer().save_pretrained(folder)
    return folder


def test_a_folder_becomes_a_bundle(toy: Path) -> None:
    builder = auto(path=str(toy))
    builder.preflight()
    bundle = builder.build(REQUEST, builder.tokenizer())
    assert bundle.base == folders.identity(toy)
    assert Capability.SEGMENTS in bundle.capabilities
    stored = toy_llama().state_dict()
    assert all(torch.equal(stored[name], t) for name, t in bundle.module.state_dict().items())


def test_gpt2(tmp_path: Path) -> None:
    from transformers import GPT2Config

    ids = {"bos_token_id": 1, "eos_token_id": 2}
    config = GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=4, n_positions=64, **ids)
    builder = auto(path=str(folder_of(config, tmp_path)))
    bundle = builder.build(REQUEST, builder.tokenizer())
    assert bundle.head_weight is not None
    assert Capability.SEGMENTS in bundle.capabilities


def test_gemma2(tmp_path: Path) -> None:
    from transformers import Gemma2Config

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    config = Gemma2Config(vocab_size=64, **sizes, **heads)
    builder = auto(path=str(folder_of(config, tmp_path)), dtype="bf16")
    bundle = builder.build(REQUEST, builder.tokenizer())
    assert bundle.head_weight is None
    assert bundle.capabilities == frozenset()
    assert next(bundle.module.parameters()).dtype == torch.bfloat16


def test_the_tokenizer_may_lie_elsewhere(toy: Path, tmp_path: Path) -> None:
    toy_llama().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="there is no tokenizer"):
        auto(path=str(tmp_path)).tokenizer()
    builder = auto(path=str(tmp_path), tokenizer_path=str(toy))
    assert builder.tokenizer().encode("the cat") == toy_tokenizer().encode("the cat")
    (toy / "chat_template.jinja").write_text("{{ messages[0].content }}")
    assert builder.default_encoder(Task.CAUSAL_LM) == "chat"
    (toy / "chat_template.jinja").unlink()
    assert builder.default_encoder(Task.CAUSAL_LM) == "prompt"


def test_the_config_is_the_files(toy: Path) -> None:
    assert auto(path=str(toy)).native_config() == folders.read_json(toy / "config.json")


def test_a_path_is_required() -> None:
    with pytest.raises(ConfigError, match=r"model\.path: is required"):
        auto()


def test_preflight_wants_weights(tmp_path: Path) -> None:
    toy_llama().config.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="there are no weights"):
        auto(path=str(tmp_path)).preflight()


def test_preflight_wants_the_tokenizers_folder(toy: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        auto(path=str(toy), tokenizer_path="./nowhere").preflight()


def test_an_unknown_architecture_is_refused_with_the_tokenizer(tmp_path: Path) -> None:
    toy_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "not-a-family"}')
    with pytest.raises(ModelError, match="not-a-family"):
        auto(path=str(tmp_path)).tokenizer()


def test_preflight_needs_no_torch(toy: Path) -> None:
    code = (
        "import sys; from lorafw.builtin.auto import Auto; from lorafw.types import Task;"
        f"auto = Auto(path={str(toy)!r}); auto.preflight(); auto.default_encoder(Task.CAUSAL_LM);"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
