"""Adapters that PEFT wrote, beside what PEFT computed with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from lorafw.adapters.layout.peft_layout import read_adapter
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.testing.toys import toy_tokenizer
from lorafw_custom.injector import CustomInjector

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.contracts import ModelBundle

FIXTURES = [
    "lora_qv",
    "lora_all_linear",
    "lora_patterns",
    "lora_modules_to_save",
    "rslora_qv",
    "rslora_all_linear",
    "rslora_patterns",
    "dora_qv",
    "dora_all_linear",
]


def base(folder: Path) -> ModelBundle:
    module = LlamaForCausalLM.from_pretrained(folder)  # it has no tokenizer of its own
    return TransformersBundle(module, toy_tokenizer(), base="golden")


@torch.no_grad()
def logits(bundle: ModelBundle, ids: Tensor) -> Tensor:
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return bundle.logits(bundle.hidden(inputs).rows)


@pytest.mark.parametrize("name", FIXTURES)
def test_logits_are_those_of_peft_adapted_and_merged(shared: Path, name: str) -> None:
    folder = shared / "golden/peft"
    arrays = np.load(folder / name / "arrays.npz")
    ids, plain = torch.from_numpy(arrays["input_ids"]), base(folder / "base")
    state = read_adapter(folder / name)
    model = CustomInjector().for_spec(state.spec).inject(base(folder / "base"))
    model.load_state(state.tensors)
    near: Any = {"rtol": 0.0, "atol": 1e-4}
    torch.testing.assert_close(
        logits(model.bundle, ids), torch.from_numpy(arrays["logits"]), **near
    )
    plain.module.load_state_dict(dict(model.merged_state()), strict=False)
    torch.testing.assert_close(
        logits(plain, ids), torch.from_numpy(arrays["logits_merged"]), **near
    )
