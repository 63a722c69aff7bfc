from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lorafw.contracts import AdaptedModel, ExportRequest, ModelRequest
from lorafw.errors import ExportError
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import toy_bundle
from lorafw.testing.values import as_if_trained, logits_of
from lorafw.types import Encoded, Task
from lorafw_minimind.exporter import MiniMindPth
from lorafw_minimind.generations import Generation
from lorafw_minimind.model import MiniMind

IDS = (5, 9, 11, 4, 7)
EVERY = pytest.mark.parametrize("generation", list(Generation))


def adapted(builder: MiniMind, rank: int = 2) -> AdaptedModel:
    bundle = builder.build(ModelRequest(Task.CAUSAL_LM, torch.device("cpu")), builder.tokenizer())
    model = ToyInjector(r=rank, alpha=5.0).inject(bundle)
    as_if_trained(model)
    return model


@EVERY
def test_files_are_named_and_typed_as_upstream_does(
    tiny: Callable[..., MiniMind], generation: Generation, tmp_path: Path
) -> None:
    builder = tiny(generation, experts=True)
    request = ExportRequest(adapted(builder), builder, {})
    files = MiniMindPth(merged=True).export(request, tmp_path)
    assert [file.name for file in files] == [
        "lora_32_moe.pth",
        "merged_32_moe.pth",
        "minimind.json",
    ]
    lora, merged = (torch.load(file, weights_only=True) for file in files[:2])
    assert {t.dtype for t in lora.values()} == {
        torch.float16 if generation is Generation.MINIMIND3 else torch.float32
    }
    assert {t.dtype for t in merged.values()} == {
        torch.float32 if generation is Generation.LMCONFIG else torch.float16
    }
    note = json.loads(files[2].read_text())
    assert (note["generation"], note["rank"], note["lora"]) == (generation, 2, files[0].name)
    assert (note["largest_rounding"] == 0) is (generation is not Generation.MINIMIND3)
    assert note["largest_rounding"] < 1e-3


@EVERY
def test_the_merged_file_computes_what_the_live_model_does(
    tiny: Callable[..., MiniMind], generation: Generation, tmp_path: Path
) -> None:
    builder = tiny(generation)
    model = adapted(builder)
    MiniMindPth(merged=True, dtype="fp32").export(ExportRequest(model, builder, {}), tmp_path)
    path = str(tmp_path / "merged_32.pth")
    again = builder.model_copy(
        update={"path": path, "tokenizer_path": str(builder.tokenizer_folder())}
    )
    bundle = again.build(ModelRequest(Task.CAUSAL_LM, torch.device("cpu")), again.tokenizer())
    rows = [Encoded(IDS, IDS)]
    off = (logits_of(bundle, rows) - logits_of(model.bundle, rows)).abs().max()
    assert float(off) < 1e-5


@EVERY
@pytest.mark.parametrize("merged", [False, True])
def test_what_is_opened_again_computes_what_the_live_model_does(
    tiny: Callable[..., MiniMind], generation: Generation, merged: bool, tmp_path: Path
) -> None:
    builder = tiny(generation, experts=True)
    request = ExportRequest(adapted(builder), builder, {})
    exporter = MiniMindPth(merged=merged)
    exporter.export(request, tmp_path)
    off = exporter.reopen(tmp_path, builder).logits(IDS) - logits_of(
        request.model.bundle, [Encoded(IDS, IDS)]
    )
    assert float(off.abs().max()) < (2e-2 if exporter.rounds(request) else 1e-5)
    assert exporter.rounds(request) or generation is not Generation.MINIMIND3


def test_another_family_is_refused(tiny: Callable[..., MiniMind], tmp_path: Path) -> None:
    model = ToyInjector(r=2).inject(toy_bundle())
    as_if_trained(model)
    request = ExportRequest(model, tiny(Generation.LMCONFIG), {})
    with pytest.raises(ExportError, match=r"no MiniMind model.*adapter or merged"):
        MiniMindPth().export(request, tmp_path)


def test_an_adapter_without_effect_is_refused(
    tiny: Callable[..., MiniMind], tmp_path: Path
) -> None:
    builder = tiny(Generation.MINIMIND3)
    model = adapted(builder)
    model.reset(seed=0)
    with pytest.raises(ExportError, match="the adapter has no effect"):
        MiniMindPth().export(ExportRequest(model, builder, {}), tmp_path)


def test_linears_that_upstream_leaves_alone_are_refused(
    tiny: Callable[..., MiniMind], tmp_path: Path
) -> None:
    builder = tiny(Generation.MINIMIND2, lora_targets="all-linear")
    with pytest.raises(ExportError, match=r"does not adapt .*lora_targets: square"):
        MiniMindPth().export(ExportRequest(adapted(builder), builder, {}), tmp_path)
