"""Tokens added to a MiniMind: rows of their own, in exports under the generation's names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lorafw.builtin.merged_exporter import MergedExporter
from lorafw.contracts import AdaptedModel, ExportRequest, ModelRequest
from lorafw.errors import ExportError
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import toy_tokenizer
from lorafw.testing.values import as_if_trained, logits_of
from lorafw.types import Encoded, Task
from lorafw_minimind.exporter import MiniMindPth
from lorafw_minimind.generations import Generation
from lorafw_minimind.model import MiniMind

TOKENS = ("<|call|>", "quux")
IDS = [5, 29, 11, 30, 7]
EVERY = pytest.mark.parametrize("generation", list(Generation))


@pytest.fixture
def builder(
    tiny_tensors: Callable[..., dict[str, Tensor]], generation: Generation, tmp_path: Path
) -> MiniMind:
    """Of 30 rows, one of them to spare."""
    file = tmp_path / "tiny.pth"
    torch.save(tiny_tensors(generation, experts=False, vocabulary=30), file)
    toy_tokenizer().save_pretrained(tmp_path)
    options = {"path": str(file), "n_heads": 4, "n_kv_heads": 2, "add_tokens": TOKENS}
    return MiniMind.from_mapping(options, where="model")


def adapted(builder: MiniMind) -> AdaptedModel:
    bundle = builder.build(ModelRequest(Task.CAUSAL_LM, torch.device("cpu")), builder.tokenizer())
    model = ToyInjector(r=2).inject(bundle)
    as_if_trained(model)
    return model


@EVERY
def test_a_merged_folder_is_one_of_the_larger_vocabulary(builder: MiniMind, tmp_path: Path) -> None:
    model = adapted(builder)
    assert model.spec.token_rows == {"model.embed_tokens": (29, 30)}
    (folder := tmp_path / "merged").mkdir()
    MergedExporter().export(ExportRequest(model, builder, {}), folder)
    again = MiniMind.from_mapping({"path": str(folder)}, where="model")
    request = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
    bundle = again.build(request, again.tokenizer())
    row = [Encoded(IDS, IDS)]
    torch.testing.assert_close(
        logits_of(bundle, row), logits_of(model.bundle, row), rtol=0, atol=1e-5
    )


@EVERY
def test_a_file_of_upstream_s_has_no_place_for_them(builder: MiniMind, tmp_path: Path) -> None:
    request = ExportRequest(adapted(builder), builder, {})
    with pytest.raises(ExportError, match="parts of the base were trained"):
        MiniMindPth().export(request, tmp_path)
