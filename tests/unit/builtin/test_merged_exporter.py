"""The merged folder: an ordinary transformers model that computes what the adapted one did."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import torch
from safetensors import safe_open

from lorafw.adapters.files.safe_files import publish
from lorafw.adapters.layout.peft_layout import read_recipe
from lorafw.builtin._shards import ShardWriter
from lorafw.builtin.auto import Auto
from lorafw.builtin.merged_exporter import MergedExporter
from lorafw.contracts import ExportRequest, ModelRequest
from lorafw.errors import ConfigError, ExportError
from lorafw.testing.toys import toy_folder
from lorafw.types import Capability, Task

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

TOKENS = torch.tensor([[5, 9, 11, 4, 30, 22, 7], [17, 3, 8, 60, 41, 6, 12]])
RECIPE = {"model": {"use": "auto"}}


class Prepare(Protocol):
    def __call__(self, *, tied: bool = False, dtype: str = "fp32") -> ExportRequest: ...


@pytest.fixture(params=sorted(entry_points(group="lorafw.injectors").names - {"full"}))
def prepare(request: pytest.FixtureRequest, tmp_path: Path) -> Prepare:
    """Makes a request to export a toy model with an adapter that has an effect."""
    (entry,) = entry_points(group="lorafw.injectors", name=request.param)

    def prepare(*, tied: bool = False, dtype: str = "fp32") -> ExportRequest:
        folder = toy_folder(tmp_path / "base", tie_word_embeddings=tied)
        builder = Auto.from_mapping({"path": str(folder), "dtype": dtype}, where="model")
        asked = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
        bundle = builder.build(asked, builder.tokenizer())
        model = entry.load().from_mapping({"r": 4}, where="injector").inject(bundle)
        generator = torch.Generator().manual_seed(0)
        for parameter in model.trainable().values():
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) / 10)
        return ExportRequest(model, builder, RECIPE)

    return prepare


def export(request: ExportRequest, final: Path, **options: Any) -> Path:
    exporter = MergedExporter.from_mapping(options, where="exporters.merged")
    files = publish(lambda folder: _names(exporter.export(request, folder), folder), final)
    assert sorted(files) == sorted(path.name for path in final.iterdir())
    return final


def _names(files: Any, folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in files]


@torch.no_grad()
def plain_logits(folder: Path) -> Tensor:
    from transformers import AutoModelForCausalLM

    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    logits: Tensor = model(TOKENS).logits
    return logits.float()


@torch.no_grad()
def adapted_logits(request: ExportRequest) -> Tensor:
    module: Any = request.model.bundle.module
    logits: Tensor = module(TOKENS).logits
    return logits.float()


def stored(folder: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            tensors |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return tensors


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("max_shard_size", ["2GB", "10kB"])
def test_plain_transformers_computes_what_the_adapted_model_did(
    prepare: Prepare, tmp_path: Path, tied: bool, max_shard_size: str
) -> None:
    request = prepare(tied=tied)
    folder = export(request, tmp_path / "out", max_shard_size=max_shard_size)
    sharded = (folder / "model.safetensors.index.json").exists()
    assert sharded is (max_shard_size == "10kB")
    assert (plain_logits(tmp_path / "base") - adapted_logits(request)).abs().max() > 0.1
    torch.testing.assert_close(plain_logits(folder), adapted_logits(request), rtol=0, atol=1e-4)


@pytest.mark.parametrize("tied", [False, True])
def test_names_and_dtypes_are_those_of_the_base(
    prepare: Prepare, tmp_path: Path, tied: bool
) -> None:
    folder = export(prepare(tied=tied, dtype="bf16"), tmp_path / "out")
    base, merged = stored(tmp_path / "base"), stored(folder)
    assert merged.keys() == base.keys()
    assert ("lm_head.weight" in merged) is not tied
    assert {tensor.dtype for tensor in merged.values()} == {torch.bfloat16}


def test_bf16_differs_by_rounding_only(prepare: Prepare, tmp_path: Path) -> None:
    request = prepare(dtype="bf16")
    folder = export(request, tmp_path / "out")
    spread = adapted_logits(request).std()
    assert (plain_logits(folder) - adapted_logits(request)).abs().mean() < 0.02 * spread


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_the_dtype_can_be_chosen(
    prepare: Prepare, tmp_path: Path, dtype: str, expected: torch.dtype
) -> None:
    request = prepare()
    folder = export(request, tmp_path / "out", dtype=dtype)
    assert {tensor.dtype for tensor in stored(folder).values()} == {expected}
    config = json.loads((folder / "config.json").read_text())
    assert config["dtype"] == str(expected).removeprefix("torch.")
    live = dict(request.model.merged_state())
    assert all(torch.equal(t, live[name].to(expected)) for name, t in stored(folder).items())


def test_config_tokenizer_and_recipe_lie_beside(prepare: Prepare, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    request = prepare()
    request.model.bundle.tokenizer.chat_template = "{{ messages[0].content }}"
    folder = export(request, tmp_path / "out")
    base = tmp_path / "base"
    own, old = (json.loads((f / "config.json").read_text()) for f in (folder, base))
    assert own["architectures"] == old["architectures"] == ["LlamaForCausalLM"]
    assert own == old
    name = "generation_config.json"
    assert (folder / name).read_bytes() == (base / name).read_bytes()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.encode("the cat sat") == request.builder.tokenizer().encode("the cat sat")
    assert tokenizer.chat_template == "{{ messages[0].content }}"
    recipe = dict(read_recipe(folder))
    assert len(recipe.pop("merged_adapters")) == 1
    assert recipe == {**RECIPE, "merged": True}


def test_a_base_without_generation_config_gets_none(prepare: Prepare, tmp_path: Path) -> None:
    request = prepare()
    (tmp_path / "base" / "generation_config.json").unlink()
    assert not (export(request, tmp_path / "out") / "generation_config.json").exists()


def test_the_index_finds_every_tensor_and_no_shard_is_too_large(
    prepare: Prepare, tmp_path: Path
) -> None:
    folder = export(prepare(), tmp_path / "out", max_shard_size=10_000)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    shards = sorted(path.name for path in folder.glob("*.safetensors"))
    count = len(shards)
    assert shards == [f"model-{i:05d}-of-{count:05d}.safetensors" for i in range(1, count + 1)]
    assert set(index["weight_map"].values()) == set(shards)
    sizes = []
    for shard in shards:
        with safe_open(folder / shard, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        assert all(index["weight_map"][name] == shard for name in tensors)
        sizes.append(sum(tensor.nbytes for tensor in tensors.values()))
    assert max(sizes) <= 10_000
    assert index["metadata"]["total_size"] == sum(sizes)


def test_a_weight_that_the_dtype_cannot_hold_is_named(prepare: Prepare, tmp_path: Path) -> None:
    request = prepare()
    request.model.bundle.module.get_parameter("model.norm.weight").data[0] = 1e6
    with pytest.raises(ExportError, match=r"model\.norm\.weight holds NaN or infinity as float16"):
        export(request, tmp_path / "out", dtype="fp16")
    assert not (tmp_path / "out").exists()
    export(request, tmp_path / "out", dtype="bf16")


def test_a_lost_update_is_noticed(
    prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = prepare()
    lost = f"{request.model.spec.targets[3]}.weight"
    kept = [(name, t) for name, t in request.model.merged_state() if name != lost]
    monkeypatch.setattr(request.model, "merged_state", lambda: iter(kept))
    with pytest.raises(ExportError, match=f"the update of {lost} has no place"):
        export(request, tmp_path / "out")


def test_exporting_leaves_the_model_alone(prepare: Prepare, tmp_path: Path) -> None:
    request = prepare()
    before = adapted_logits(request)
    export(request, tmp_path / "out")
    assert torch.equal(adapted_logits(request), before)


def test_merging_needs_an_adapter_that_can_be_merged() -> None:
    assert MergedExporter.requires == {Capability.MERGEABLE}


@pytest.mark.parametrize(
    ("given", "size"), [(500, 500), ("2GB", 2 * 10**9), ("1.5 MiB", 1.5 * 2**20)]
)
def test_shard_sizes_are_bytes_or_text(given: int | str, size: float) -> None:
    options = {"max_shard_size": given}
    assert MergedExporter.from_mapping(options, where="x").max_shard_size == size


@pytest.mark.parametrize("given", [0, -1, "two", "2 gold bars"])
def test_bad_shard_sizes_name_the_option(given: int | str) -> None:
    with pytest.raises(ConfigError, match=r"exporters\.merged\.max_shard_size"):
        MergedExporter.from_mapping({"max_shard_size": given}, where="exporters.merged")


def test_shards_hold_copies_so_tied_weights_and_later_changes_do_no_harm(tmp_path: Path) -> None:
    weight = torch.arange(8.0)
    writer = ShardWriter(tmp_path, max_bytes=10**6)
    for name, tensor in {"a": weight, "b": weight, "part": weight[2:4]}.items():
        writer.add(name, tensor)
    weight.zero_()
    writer.finish()
    found = stored(tmp_path)
    assert torch.equal(found["a"], torch.arange(8.0))
    assert torch.equal(found["b"], torch.arange(8.0))
    assert torch.equal(found["part"], torch.tensor([2.0, 3.0]))


def test_a_tensor_larger_than_a_shard_gets_one_of_its_own(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, max_bytes=16)
    for name, numbers in {"a": 2, "large": 100, "b": 2, "c": 2}.items():
        writer.add(name, torch.ones(numbers))
    writer.finish()
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    assert [index[name][6:11] for name in ("a", "large", "b", "c")] == [
        "00001",
        "00002",
        "00003",
        "00003",
    ]


def test_a_name_may_come_once_and_a_model_has_weights(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, max_bytes=16)
    with pytest.raises(ExportError, match="no weights"):
        writer.finish()
    writer.add("a", torch.ones(1))
    with pytest.raises(ExportError, match="a comes twice"):
        writer.add("a", torch.ones(1))
