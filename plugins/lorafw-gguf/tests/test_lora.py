from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import pytest
import torch

from lorafw.contracts import ExportRequest
from lorafw.errors import ExportError
from lorafw.testing.values import logits_of
from lorafw.types import AdapterSpec, Encoded
from lorafw_gguf._lora_file import _tensors
from lorafw_gguf._names import Names
from lorafw_gguf.families import FAMILIES
from lorafw_gguf.lora import GgufLora

IDS = (5, 900, 11, 4, 70, 3, 1279, 60)
QUERY, DOWN = "model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_the_base_with_the_file_computes_what_the_live_model_does(
    family: str, small: Callable[..., Path], asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    request = asked(small(family), alpha=7.0)
    GgufLora().export(request, tmp_path)
    opened = GgufLora().reopen(tmp_path, request.builder)
    assert opened is not None
    live = logits_of(request.model.bundle, [Encoded(IDS, IDS)])
    assert float((opened.logits(IDS) - live).abs().max()) < 1e-4


def test_the_file_is_laid_out_as_llama_cpp_reads_it(
    small: Callable[..., Path], asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    request = asked(small(), alpha=7.0)
    GgufLora().export(request, tmp_path)
    reader = gguf.GGUFReader(tmp_path / "adapter.gguf")
    values = {key: field.contents() for key, field in reader.fields.items()}
    assert (values["general.type"], values["adapter.type"]) == ("adapter", "lora")
    assert (values["general.architecture"], values["adapter.lora.alpha"]) == ("llama", 7.0)
    state = request.model.state()
    found = {tensor.name: tensor.data for tensor in reader.tensors}
    assert len(found) == 2 * len(state.spec.targets)
    down = state.tensors[f"{DOWN}.lora_A.weight"].numpy()
    assert (found["blk.1.ffn_down.weight.lora_a"] == down).all()
    assert found["blk.0.attn_q.weight.lora_b"].shape == (32, 4)


def test_scalings_of_single_modules_are_folded_into_b() -> None:
    spec = AdapterSpec(
        4, 8.0, (QUERY, DOWN), rank_pattern={DOWN: 2}, alpha_pattern={DOWN: 3.0}, use_rslora=True
    )
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.randn(shape, generator=generator)
        for module, rank in ((QUERY, 4), (DOWN, 2))
        for name, shape in zip(spec.pair_of(module), ((rank, 8), (16, rank)), strict=True)
    }

    class Config:
        num_hidden_layers, num_attention_heads, num_key_value_heads = 2, 2, 1

    from lorafw.types import AdapterState

    names = Names(FAMILIES["llama"], Config())
    found = _tensors(AdapterState(spec, tensors), names)
    for module, name in ((QUERY, "blk.0.attn_q.weight"), (DOWN, "blk.1.ffn_down.weight")):
        down, up = found[f"{name}.lora_a"], found[f"{name}.lora_b"]
        update = names.restored(f"{module}.weight", up) @ down * (spec.alpha / len(down))
        a, b = (tensors[name] for name in spec.pair_of(module))
        assert torch.allclose(update, b @ a * spec.scaling_of(module), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"target_modules": ["q_proj", "lm_head"]}, "no place for lm_head"),
        ({"target_modules": ["q_proj", "embed_tokens"]}, "embedding"),
    ],
)
def test_what_llama_cpp_cannot_add_at_run_time_is_refused(
    options: dict[str, object],
    why: str,
    small: Callable[..., Path],
    tmp_path: Path,
) -> None:
    from lorafw.builtin.auto import Auto
    from lorafw.contracts import ModelRequest
    from lorafw.testing.values import as_if_trained
    from lorafw.types import Task

    injector = pytest.importorskip("lorafw_custom.injector").CustomInjector(r=2, **options)
    builder = Auto.from_mapping({"path": str(small())}, where="model")
    request = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
    model = injector.inject(builder.build(request, builder.tokenizer()))
    as_if_trained(model)
    with pytest.raises(ExportError, match=f"{why}.*exporter gguf"):
        GgufLora().export(ExportRequest(model, builder, {}), tmp_path)


def test_an_adapter_without_effect_is_refused(
    small: Callable[..., Path], asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    request = asked(small())
    request.model.reset(seed=0)
    with pytest.raises(ExportError, match="no effect"):
        GgufLora().export(request, tmp_path)


def test_a_file_of_another_base_is_refused(
    small: Callable[..., Path], asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    GgufLora().export(asked(small()), tmp_path)
    with pytest.raises(ExportError, match="no LoRA file of this base"):
        GgufLora().reopen(tmp_path, asked(small("qwen2", vocab_size=1288)).builder)
