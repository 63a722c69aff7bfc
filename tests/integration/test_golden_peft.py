"""Adapters that PEFT saved compute here what they computed there, and go back to PEFT."""

from __future__ import annotations

import json
import shutil
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import lorafw
from lorafw.adapters.layout.peft_layout import read_adapter, write_adapter
from lorafw.adapters.live.targets import base_modules
from lorafw.assembly.registry import Registry
from lorafw.builtin.auto import Auto
from lorafw.contracts import ModelRequest
from lorafw.errors import AdapterError
from lorafw.testing.toys import toy_tokenizer
from lorafw.types import Task

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.contracts import AdaptedModel, ModelBundle

LORA = (
    "dora_all_linear",
    "dora_qv",
    "lora_all_linear",
    "lora_modules_to_save",
    "lora_patterns",
    "lora_qv",
    "rslora_all_linear",
    "rslora_patterns",
    "rslora_qv",
)
PROMPTS = ("prefix_tuning", "prompt_tuning")
BY_INJECTOR = [
    *((injector, name) for injector in ("custom", "peft") for name in LORA),
    *(("peft", name) for name in ("ia3", *PROMPTS)),
]
each = pytest.mark.parametrize(("injector", "name"), BY_INJECTOR)


@pytest.fixture(scope="module")
def golden(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixtures, with a tokenizer beside their base so that it can be asked."""
    folder = tmp_path_factory.mktemp("golden") / "peft"
    shutil.copytree(shared / "golden" / "peft", folder)
    tokenizer: Any = toy_tokenizer()
    tokenizer.save_pretrained(folder / "base")
    return folder


def open_base(golden: Path) -> ModelBundle:
    builder = Auto.from_mapping({"path": str(golden / "base"), "dtype": "fp32"}, where="model")
    return builder.build(ModelRequest(Task.CAUSAL_LM, torch.device("cpu")), toy_tokenizer())


def adapted(golden: Path, injector: str, name: str) -> AdaptedModel:
    state, kind = read_adapter(golden / name), Registry().load("injector", injector)
    made: Any = kind.from_mapping({}, where="injector")
    model: AdaptedModel = made.for_spec(state.spec).inject(open_base(golden))
    model.load_state(state.tensors)
    return model


def expected(golden: Path, name: str, array: str = "logits") -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and logits of a fixture; rows of virtual tokens, which lead, are left out."""
    arrays = np.load(golden / name / "arrays.npz")
    ids = torch.from_numpy(arrays["input_ids"])
    return ids, torch.from_numpy(arrays[array])[:, -ids.shape[1] :]


@torch.no_grad()
def logits_of(bundle: ModelBundle, ids: torch.Tensor) -> torch.Tensor:
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return bundle.logits(bundle.hidden(inputs).rows)


def assert_near(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)


@each
def test_the_adapter_gives_the_logits_that_peft_saw(golden: Path, injector: str, name: str) -> None:
    ids, wanted = expected(golden, name)
    model = adapted(golden, injector, name)
    assert_near(logits_of(model.bundle, ids), wanted)
    if name in PROMPTS:
        return
    plain = open_base(golden)
    plain.module.load_state_dict(dict(model.merged_state()))
    assert_near(logits_of(plain, ids), expected(golden, name, "logits_merged")[1])


@each
def test_it_is_loaded_by_its_folder(golden: Path, tmp_path: Path, injector: str, name: str) -> None:
    folder = tmp_path / name
    shutil.copytree(golden / name, folder)
    (folder / "lorafw.json").write_text(json.dumps({"injector": {"use": injector}}))
    ids, wanted = expected(golden, name)
    loaded = lorafw.load(folder, base=golden / "base", device="cpu")
    assert_near(torch.stack([loaded.logits(row) for row in ids.tolist()]), wanted)
    if name in PROMPTS:
        with pytest.raises(AdapterError, match="cannot be merged"):
            lorafw.load(folder, base=golden / "base", device="cpu", adapter_merged=True)
        return
    merged = lorafw.load(folder, base=golden / "base", device="cpu", adapter_merged=True)
    wanted = expected(golden, name, "logits_merged")[1]
    assert_near(torch.stack([merged.logits(row) for row in ids.tolist()]), wanted)


@each
def test_it_goes_back_to_plain_peft(golden: Path, tmp_path: Path, injector: str, name: str) -> None:
    from peft import PeftModel

    model = adapted(golden, injector, name)
    write_adapter(
        tmp_path,
        model.state(),
        base_path=None,
        recipe={},
        modules=base_modules(model.bundle.module, model.spec.targets),
    )
    base: Any = open_base(golden).module
    with warnings.catch_warnings():
        # PEFT asks transformers by a name that transformers 5 calls deprecated.
        warnings.simplefilter("ignore", FutureWarning)
        loaded = PeftModel.from_pretrained(base, str(tmp_path)).eval()
    ids, wanted = expected(golden, name)
    with torch.no_grad():
        found = loaded(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    assert_near(found[:, -ids.shape[1] :], wanted)


@pytest.mark.parametrize("injector", ["custom", "peft"])
@pytest.mark.parametrize(
    "options",
    [
        {"target_modules": ["embed_tokens", "q_proj"], "use_rslora": True},
        {"target_modules": ["embed_tokens", "lm_head", "up_proj"], "use_dora": True},
        {"target_modules": ["v_proj"], "trainable_token_indices": {"embed_tokens": [9, 2]}},
        {"target_modules": ["v_proj"], "modules_to_save": ["lm_head", "embed_tokens"]},
        {"target_modules": ["v_proj"], "bias": "all"},
    ],
    ids=["embedding", "dora-everywhere", "rows", "whole", "absent-biases"],
)
def test_what_peft_saves_of_a_vocabulary(
    golden: Path, tmp_path: Path, injector: str, options: dict[str, Any]
) -> None:
    ids = [2, 9, 4, 120, 9, 33]
    wanted = saved_by_peft(open_base(golden).module, options, tmp_path, torch.tensor([ids]))
    (tmp_path / "lorafw.json").write_text(json.dumps({"injector": {"use": injector}}))
    loaded = lorafw.load(tmp_path, base=golden / "base", device="cpu")
    assert_near(loaded.logits(ids), wanted)
    assert (loaded.logits(ids, adapter=False) - wanted).abs().max() > 0.01


@torch.no_grad()
def saved_by_peft(
    base: Any, options: dict[str, Any], folder: Path, ids: torch.Tensor
) -> torch.Tensor:
    """Have PEFT save an adapter with random values; its logits [tokens, vocabulary]."""
    from peft import LoraConfig, get_peft_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT tells that it saves an embedding as well
        config = LoraConfig(r=3, task_type="CAUSAL_LM", **options)
        model: Any = get_peft_model(base, config).eval()
        generator = torch.Generator().manual_seed(0)
        for parameter in filter(lambda each: each.requires_grad, model.parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
        model.save_pretrained(folder)
        found: torch.Tensor = model(ids).logits[0]
    return found


@pytest.mark.parametrize("injector", ["custom", "peft"])
def test_a_head_that_was_saved_whole_goes_on_training(golden: Path, injector: str) -> None:
    model = adapted(golden, injector, "lora_modules_to_save")
    head = model.trainable()["lm_head.weight"]
    assert head.requires_grad
    assert model.bundle.head_weight is None
    ids, wanted = expected(golden, "lora_modules_to_save")
    rows = model.bundle.hidden({"input_ids": ids, "attention_mask": torch.ones_like(ids)}).rows
    logits = model.bundle.logits(rows)
    torch.autograd.backward(logits.log_softmax(-1)[..., 5].mean())
    assert head.grad is not None
    with torch.no_grad():
        head.add_(head.grad)
    moved = logits_of(model.bundle, ids)
    assert moved.log_softmax(-1)[..., 5].mean() > wanted.log_softmax(-1)[..., 5].mean()
