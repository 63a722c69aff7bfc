"""What is told of a model before its weights are read, against the model itself."""

from __future__ import annotations

import json
import math
import re
import resource
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from lorafw.builtin.auto import Auto
from lorafw.contracts import ModelRequest
from lorafw.models import outline
from lorafw.models.inspection import inspect_model
from lorafw.models.report import ModelReport
from lorafw.testing.toys import toy_folder, toy_llama, toy_tokenizer
from lorafw.types import Task


def told(folder: Path, **options: Any) -> ModelReport:
    builder = Auto.from_mapping({"path": str(folder), **options}, where="model")
    return inspect_model("auto", builder, folder)


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    toy_tokenizer(chat=True).save_pretrained(folder)
    return folder


FAMILIES = ("llama", "qwen2", "gpt2", "gemma2", "mixtral", "mistral")


@pytest.mark.parametrize("name", FAMILIES)
def test_it_tells_what_the_loaded_model_is(family: Any, name: str, tmp_path: Path) -> None:
    folder = saved(family(name), tmp_path)
    report = told(folder)
    builder = Auto.from_mapping({"path": str(folder)}, where="model")
    request = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
    bundle = builder.build(request, builder.tokenizer())
    assert report.refused == ()
    assert report.family == name
    assert report.parameters == sum(p.numel() for p in bundle.module.parameters())
    assert report.segments == bool(bundle.capabilities)
    counts = Counter(target.rpartition(".")[2] for target in bundle.lora_targets)
    assert sum(group.count for group in report.targets) == len(bundle.lora_targets)
    assert {group.name for group in report.targets} == counts.keys()
    assert (report.sizes["layers"], report.sizes["vocabulary"]) == (2, 64)
    assert report.encoder == "chat"


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_parameters_of_a_rank_are_those_an_adapter_has(
    family: Any, name: str, tmp_path: Path
) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    report = told(saved(family(name), tmp_path))
    for rank in (1, 8):
        targets = [group.name for group in report.targets]
        config = LoraConfig(r=rank, target_modules=targets, fan_in_fan_out=name == "gpt2")
        model = inject_adapter_in_model(config, family(name))
        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        assert report.trainable[rank] == trainable


def test_dtypes_sizes_and_tokenizer_are_those_of_the_files(tmp_path: Path) -> None:
    folder = saved(toy_llama().to(torch.bfloat16), tmp_path)
    report = told(folder)
    assert report.weights is not None
    assert report.weights.numbers == {"BF16": report.parameters}
    assert report.weights.bytes == (folder / "model.safetensors").stat().st_size
    assert report.tokenizer is not None
    assert report.tokenizer.special_tokens["eos_token"] == "</s>"
    assert report.tokenizer.chat_template
    words: Any = toy_tokenizer(chat=True)
    assert report.tokenizer.size == len(words)


def test_no_weight_is_read(tmp_path: Path) -> None:
    """A file of 4 GB that is nothing but a hole; pages that are read would count as memory."""
    folder = toy_folder(tmp_path)
    change(folder, vocab_size=16_000_000)
    _widen(folder / "model.safetensors", ("model.embed_tokens.weight", "lm_head.weight"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = told(folder)
    assert report.refused == ()
    assert report.parameters is not None
    assert report.parameters > 2 * 16_000_000 * 32
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 1_000_000


def _widen(file: Path, names: tuple[str, ...]) -> None:
    """Give tensors 16 million rows in the header, and the file the size that belongs to it."""
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header, offset = json.loads(content[8 : 8 + length]), 0
    for name, entry in header.items():
        if name != "__metadata__":
            entry["shape"] = [16_000_000, 32] if name in names else entry["shape"]
            end = offset + 4 * math.prod(entry["shape"])
            entry["data_offsets"], offset = [offset, end], end
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    with file.open("wb") as stream:
        stream.write(len(raw).to_bytes(8, "little") + raw)
        stream.truncate(8 + len(raw) + offset)


def change(folder: Path, **fields: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def cut_off(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def no_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


def only_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def other_shapes(folder: Path) -> None:
    change(folder, intermediate_size=40)


def more_layers(folder: Path) -> None:
    change(folder, num_hidden_layers=3)


def no_family(folder: Path) -> None:
    change(folder, model_type="not-a-family")


DAMAGE = {
    cut_off: "the file is cut off",
    no_tokenizer: "there is no tokenizer",
    only_a_pickle: r"weights are in pytorch_model\.bin",
    other_shapes: r"down_proj\.weight has shape \[32, 48\], config\.json asks for \[32, 40\]",
    more_layers: "the weights lack 9 tensors",
    no_family: "not-a-family",
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_what_loading_refuses_is_refused_before(damage: Any, tmp_path: Path) -> None:
    """One sentence each, the same that loading has for it."""
    folder = toy_folder(tmp_path)
    damage(folder)
    report = told(folder)
    assert re.search(DAMAGE[damage], " ".join(report.refused))
    assert all("\n" not in reason for reason in report.refused)


def test_without_accelerate_the_module_tree_is_told_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = told(toy_folder(tmp_path))
    monkeypatch.setattr(outline, "find_spec", lambda _: None)
    assert told(tmp_path) == whole


def test_an_encoder_is_for_classification(family: Any, tmp_path: Path) -> None:
    report = told(saved(family("bert"), tmp_path))
    assert report.tasks == ("classification",)
    assert report.segments is False
    assert report.encoder == "text-pair"
