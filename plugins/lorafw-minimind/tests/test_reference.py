"""What upstream's own code computed is computed here: every generation, dense and with experts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lorafw.contracts import ExportRequest, ModelRequest
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import toy_tokenizer
from lorafw.types import Task
from lorafw_minimind._bundle import MiniMindBundle
from lorafw_minimind.exporter import MiniMindPth
from lorafw_minimind.lora_pth import lora_tensors, read_lora_pth
from lorafw_minimind.model import MiniMind

ON_CPU = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
FOLDERS = [
    f"{generation}-{kind}"
    for generation in ("2025-02-lmconfig", "2025-04-minimind2", "2026-head-minimind3")
    for kind in ("dense", "moe")
]
LATER, LATEST, WITH_EXPERTS = (
    pytest.mark.parametrize("reference", folders, indirect=True)
    for folders in (FOLDERS[2:], FOLDERS[4:], FOLDERS[1::2])
)


@dataclass(frozen=True)
class Reference:
    """A folder of upstream's weights and results."""

    folder: Path

    def __getitem__(self, name: str) -> Tensor:
        with np.load(self.folder / "arrays.npz") as arrays:
            return torch.tensor(arrays[name])

    def bundle(self, path: Path | None = None, **options: Any) -> MiniMindBundle:
        builder = MiniMind(path=str(path or self.folder), **options)
        bundle = builder.build(ON_CPU, toy_tokenizer())
        assert isinstance(bundle, MiniMindBundle)
        return bundle

    def off(self, bundle: MiniMindBundle, name: str = "logits") -> float:
        """How far the logits of a bundle are from the stored ones, padding left out."""
        ids = self["input_ids"]
        mask = self["attention_mask"] if name == "logits_masked" else torch.ones_like(ids)
        found = logits(bundle, ids, mask)
        return float((found - self[name])[mask.bool()].abs().max())


@torch.no_grad()
def logits(bundle: MiniMindBundle, ids: Tensor, mask: Tensor) -> Tensor:
    return bundle.logits(bundle.hidden({"input_ids": ids, "attention_mask": mask}).rows)


@pytest.fixture(params=FOLDERS)
def reference(request: pytest.FixtureRequest, shared: Path) -> Reference:
    return Reference(shared / "golden" / "minimind" / request.param)


def loss(found: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(found[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


def test_logits_and_loss(reference: Reference) -> None:
    bundle, ids = reference.bundle(), reference["input_ids"]
    assert reference.off(bundle) < 1e-4
    found = loss(logits(bundle, ids, torch.ones_like(ids)), reference["labels"])
    assert float(found) == pytest.approx(float(reference["loss"]), abs=1e-5)


def test_greedy_ids(reference: Reference) -> None:
    module: Any = reference.bundle().module
    first = reference["input_ids"][:1]
    mask = torch.ones_like(first)
    found = module.generate(
        first, attention_mask=mask, max_new_tokens=8, do_sample=False, eos_token_id=None
    )
    assert torch.equal(found, reference["greedy_ids"])


@LATER
def test_masked_logits(reference: Reference) -> None:
    assert reference.off(reference.bundle(), "logits_masked") < 1e-4


@LATER
def test_stretched_positions(reference: Reference) -> None:
    stretched = reference.bundle(inference_rope_scaling=True)
    assert reference.off(stretched, "logits_yarn") < 1e-4


def test_a_lora_file_of_upstream(reference: Reference) -> None:
    bundle, ids = reference.bundle(), reference["input_ids"]
    file = reference.folder / "lora.pth"
    state = read_lora_pth(file, bundle.form)
    adapted = ToyInjector().for_spec(state.spec).inject(bundle)
    adapted.load_state(state.tensors)
    assert reference.off(bundle, "logits_lora") < 1e-4
    found = loss(logits(bundle, ids, torch.ones_like(ids)), reference["labels"])
    assert float(found) == pytest.approx(float(reference["loss_lora"]), abs=1e-5)
    assert set(bundle.square_linears) == set(state.spec.targets)


def test_a_lora_file_written_is_the_one_read(reference: Reference) -> None:
    bundle = reference.bundle()
    stored = torch.load(reference.folder / "lora.pth", weights_only=True)
    dtype = next(iter(stored.values())).dtype
    state = read_lora_pth(reference.folder / "lora.pth", bundle.form)
    written = lora_tensors(state, bundle.form, bundle.square_linears, dtype)
    assert written.keys() == stored.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in stored.items())
    assert all(written[name].dtype == dtype for name in stored)


def test_a_checkpoint_that_upstream_merged_in_fp16(shared: Path) -> None:
    reference = Reference(shared / "golden" / "minimind" / FOLDERS[-1])
    bundle = reference.bundle(reference.folder / "merged_fp16.pth")
    assert bundle.head_weight is not None
    assert bundle.head_weight.dtype == torch.float32
    assert reference.off(bundle, "logits_merged_fp16") < 1e-3


@LATEST
def test_a_model_merged_here_is_the_one_upstream_merges(
    reference: Reference, tmp_path: Path
) -> None:
    bundle, builder = reference.bundle(), MiniMind(path=str(reference.folder))
    state = read_lora_pth(reference.folder / "lora.pth", bundle.form)
    adapted = ToyInjector().for_spec(state.spec).inject(bundle)
    adapted.load_state(state.tensors)
    MiniMindPth(merged=True).export(ExportRequest(adapted, builder, {}), tmp_path)
    merged = reference.bundle(next(tmp_path.glob("merged_64*.pth")))
    # Upstream rounds to fp16 before it adds and after; here it is once, so the result is nearer.
    measured = json.loads((reference.folder / "meta.json").read_text())["checks"]
    assert reference.off(merged, "logits_lora") < measured["upstream_merge_vs_active"]
    assert reference.off(merged, "logits_merged_fp16") < 1e-2


@WITH_EXPERTS
def test_the_routers_balance_loss(reference: Reference) -> None:
    """The mean over rows of one length is upstream's, over sequences or over the batch."""
    bundle, ids = reference.bundle(), reference["input_ids"]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    found = bundle.hidden(inputs).auxiliary
    tolerances = json.loads((reference.folder / "meta.json").read_text())["suggested_tolerance"]
    assert found is not None
    assert found.shape == ids.shape
    wanted = float(reference["aux_loss_train"])
    assert float(found.mean()) == pytest.approx(wanted, abs=tolerances["aux_loss_train"])


@pytest.fixture
def stories(shared: Path) -> MiniMindBundle:
    folder = shared / "models"
    builder = MiniMind(
        path=str(folder / "stories260k-minimind.pth"),
        tokenizer_path=str(folder / "stories260k-llama"),
        n_heads=8,
        n_kv_heads=4,
        rope_theta=1e4,
        norm_eps=1e-5,
    )
    bundle = builder.build(ON_CPU, builder.tokenizer())
    assert isinstance(bundle, MiniMindBundle)
    return bundle


@pytest.fixture
def expected(shared: Path) -> Any:
    return json.loads((shared / "models" / "stories260k.expected.json").read_text())


def test_pretrained_weights_tell_their_story(stories: MiniMindBundle, expected: Any) -> None:
    module: Any = stories.module
    start = torch.tensor([[expected["greedy"]["start_ids"][0]]])
    found = module.generate(
        start, attention_mask=start, max_new_tokens=200, do_sample=False, eos_token_id=None
    )[0].tolist()
    assert found == expected["greedy"]["ids"]
    told = stories.tokenizer.decode(found, skip_special_tokens=True)
    assert told == expected["greedy"]["text"]


def test_pretrained_weights_give_their_logits(stories: MiniMindBundle, expected: Any) -> None:
    wanted = expected["logits"]
    ids = torch.tensor([wanted["input_ids"]])
    found = logits(stories, ids, torch.ones_like(ids))[0]
    assert found.argmax(-1).tolist() == wanted["argmax_all_positions"]
    off = (found[wanted["positions"]] - torch.tensor(wanted["values"])).abs().max()
    assert float(off) < 1e-4


def test_pretrained_weights_know_a_text(stories: MiniMindBundle, expected: Any) -> None:
    ids = torch.tensor([expected["nll"]["input_ids"]])
    found = loss(logits(stories, ids, torch.ones_like(ids)), ids)
    assert float(found) == pytest.approx(expected["nll"]["mean_nll"], abs=1e-5)
