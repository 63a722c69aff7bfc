"""Adapters that PEFT saved give here the logits they gave there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from lorafw.adapters.layout.peft_layout import read_adapter
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.testing.toys import toy_tokenizer
from lorafw_peft.injector import PeftInjector

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.contracts import ModelBundle

NAMES = [
    "dora_all_linear",
    "dora_qv",
    "ia3",
    "lora_all_linear",
    "lora_modules_to_save",
    "lora_patterns",
    "lora_qv",
    "rslora_all_linear",
    "rslora_patterns",
    "rslora_qv",
]
TOLERANCE = 1e-4


def base(golden: Path) -> ModelBundle:
    module = AutoModelForCausalLM.from_pretrained(golden / "base")
    return TransformersBundle(module, toy_tokenizer(), base="golden")


@torch.no_grad()
def off(bundle: ModelBundle, arrays: Any, key: str) -> float:
    module: Any = bundle.module
    found = module(torch.tensor(arrays["input_ids"])).logits
    return float((found - torch.tensor(arrays[key])).abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_of_peft_gives_its_logits(name: str, shared: Path) -> None:
    golden = shared / "golden" / "peft"
    arrays = np.load(golden / name / "arrays.npz")
    state, bundle = read_adapter(golden / name), base(golden)
    model = PeftInjector().for_spec(state.spec).inject(bundle)
    model.load_state(state.tensors)
    assert off(bundle, arrays, "logits") < TOLERANCE
    merged = base(golden)
    merged.module.load_state_dict(dict(model.merged_state()), strict=False)
    assert off(merged, arrays, "logits_merged") < TOLERANCE
