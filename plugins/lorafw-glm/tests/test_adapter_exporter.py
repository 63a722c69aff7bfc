"""What `chatglm-adapter` writes is what PEFT wants for the original model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lorafw.contracts import ExportRequest, ModelRequest
from lorafw.errors import ExportError
from lorafw.inference.loading import load
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import toy_bundle
from lorafw.testing.values import as_if_trained, logits_of
from lorafw.types import Encoded, Task
from lorafw_glm.adapter_exporter import ChatGLMAdapterExporter
from lorafw_glm.model import Glm


def exported(model_folder: Path, folder: Path, **lora: Any) -> Any:
    builder = Glm.from_mapping({"path": str(model_folder)}, where="model")
    request = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
    model = ToyInjector(r=2, **lora).inject(builder.build(request, builder.tokenizer()))
    as_if_trained(model)
    folder.mkdir()
    recipe = {"model": {"use": "glm", "path": str(model_folder)}, "injector": {"use": "peft"}}
    ChatGLMAdapterExporter().export(ExportRequest(model, builder, recipe), folder)
    return model


class Original(nn.Module):
    """Stands for the original: its linears under their own names, without a forward."""

    def prepare_inputs_for_generation(self) -> None:
        """Needed by PEFT of whatever generates."""
        raise NotImplementedError


def original_modules(tensors: dict[str, torch.Tensor]) -> nn.Module:
    root: nn.Module = Original()
    for name, tensor in tensors.items():
        *path, last, kind = name.split(".")
        if tensor.ndim != 2 or kind != "weight":
            continue
        owner = root
        for part in path:
            if not hasattr(owner, part):
                owner.add_module(part, nn.Module())
            owner = owner.get_submodule(part)
        linear = nn.Linear(tensor.shape[1], tensor.shape[0], bias=False)
        linear.weight.data = tensor.clone()
        owner.add_module(last, linear)
    return root


@torch.no_grad()
def test_peft_puts_it_onto_the_original(
    make_original: Callable[..., Path], tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    adapted = exported(make_original(), tmp_path / "adapter", target_modules=["k_proj", "o_proj"])
    loaded = peft.PeftModel.from_pretrained(original_modules(tensors), tmp_path / "adapter")
    found = dict(loaded.merge_and_unload().named_parameters())
    merged = dict(adapted.merged_state())
    layer = "transformer.encoder.layers.1.self_attention"
    names = [f"model.layers.1.self_attn.{n}_proj.weight" for n in "qkv"]
    fused = torch.cat([merged[name] for name in names])
    torch.testing.assert_close(found[f"{layer}.query_key_value.weight"], fused)
    dense = merged["model.layers.1.self_attn.o_proj.weight"]
    torch.testing.assert_close(found[f"{layer}.dense.weight"], dense)
    assert not torch.equal(fused, tensors[f"{layer}.query_key_value.weight"])


@torch.no_grad()
def test_lorafw_loads_it_too(make_original: Callable[..., Path], tmp_path: Path) -> None:
    pytest.importorskip("lorafw_peft")
    adapted = exported(make_original(), tmp_path / "adapter")
    ids = (5, 9, 11, 4, 7)
    found = load(tmp_path / "adapter", device="cpu").logits(ids)
    wanted = logits_of(adapted.bundle, [Encoded(ids, ids)])
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def test_another_base_is_refused(tmp_path: Path) -> None:
    bundle = toy_bundle()
    model = ToyInjector(r=2).inject(bundle)
    as_if_trained(model)
    builder = Glm(path=str(tmp_path))
    with pytest.raises(ExportError, match=r"type 'llama'; only 'glm'.*Use exporter adapter"):
        ChatGLMAdapterExporter().export(ExportRequest(model, builder, {}), tmp_path)
