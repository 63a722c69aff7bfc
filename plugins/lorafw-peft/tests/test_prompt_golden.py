"""Virtual tokens give the logits and the greedy tokens of PEFT, on PEFT's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM

from lorafw.adapters.layout.peft_layout import read_adapter
from lorafw.contracts import ModelBundle
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.testing.toys import toy_tokenizer
from lorafw_peft.injector import PeftInjector

pytestmark = [
    pytest.mark.parametrize("name", ["prompt_tuning", "prefix_tuning"]),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Position ids are not supported:UserWarning"),
]


def arrays(golden: Path, name: str) -> dict[str, Tensor]:
    return {
        key: torch.tensor(value) for key, value in np.load(golden / name / "arrays.npz").items()
    }


def loaded(golden: Path, name: str) -> ModelBundle:
    module = AutoModelForCausalLM.from_pretrained(golden / "base")
    bundle = TransformersBundle(module, toy_tokenizer(), base="golden")
    state = read_adapter(golden / name)
    model = PeftInjector().for_spec(state.spec).inject(bundle)
    model.load_state(state.tensors)
    assert torch.equal(
        model.state().tensors["prompt_embeddings"], state.tensors["prompt_embeddings"]
    )
    return bundle


@torch.no_grad()
def logits(bundle: ModelBundle, ids: Tensor, mask: Tensor) -> Tensor:
    return bundle.logits(bundle.hidden({"input_ids": ids, "attention_mask": mask}).rows)


@pytest.fixture
def golden(shared: Path) -> Path:
    return shared / "golden/peft"


def test_the_logits_are_those_peft_saved(golden: Path, name: str) -> None:
    saved, bundle = arrays(golden, name), loaded(golden, name)
    ids, mask = saved["input_ids"], saved["attention_mask"]
    # PEFT returns logits of prompt tuning's virtual tokens as well, in front.
    whole, padded = (saved[key][:, -ids.shape[1] :] for key in ("logits", "logits_masked"))
    found = logits(bundle, ids, torch.ones_like(ids))
    torch.testing.assert_close(found, whole, atol=1e-4, rtol=0)
    real = mask.bool()
    found = logits(bundle, ids, mask)
    torch.testing.assert_close(found[real], padded[real], atol=1e-4, rtol=0)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("use_cache", [True, False])
def test_generation_gives_the_tokens_of_peft(
    golden: Path, name: str, padded: bool, use_cache: bool
) -> None:
    saved, module = arrays(golden, name), loaded(golden, name).module
    base = AutoModelForCausalLM.from_pretrained(golden / "base")
    plain = PeftModel.from_pretrained(base, str(golden / name)).eval()
    ids = saved["input_ids"]
    asked: dict[str, Any] = {
        "attention_mask": saved["attention_mask"] if padded else torch.ones_like(ids),
        "max_new_tokens": 16,
        "do_sample": False,
        "pad_token_id": 0,
        "eos_token_id": None,
    }
    found = module.generate(ids, use_cache=use_cache, **asked)  # type: ignore[operator]
    wanted = plain.generate(input_ids=ids, **asked)
    assert torch.equal(found, wanted)
    if not padded:
        alone = base.generate(ids, **asked)
        assert not torch.equal(found, alone), "the virtual tokens do nothing"
