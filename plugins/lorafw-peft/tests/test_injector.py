"""What is special to the injector `peft`; what every injector promises is tested in core."""

from __future__ import annotations

import copy
import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict

from lorafw.contracts import ModelRequest
from lorafw.errors import AdapterError, ConfigError
from lorafw.testing.toys import toy_folder
from lorafw.types import Task
from lorafw_peft.injector import PeftInjector

if TYPE_CHECKING:
    from lorafw.contracts import AdaptedModel, ModelBundle

TOKENS = torch.arange(4, 24).reshape(2, 10)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    from lorafw.builtin.auto import Auto

    builder = Auto(path=str(toy_folder(tmp_path_factory.mktemp("base"))))
    return builder.build(ModelRequest(Task.CAUSAL_LM, torch.device("cpu")), builder.tokenizer())


@pytest.fixture
def bundle(base: ModelBundle) -> ModelBundle:
    return copy.deepcopy(base)


def disturbed(bundle: ModelBundle, **options: Any) -> AdaptedModel:
    model = PeftInjector.from_mapping(options, where="injector").inject(bundle)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.trainable().values():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) / 5)
    return model


@torch.no_grad()
def logits(module: Any) -> torch.Tensor:
    found: torch.Tensor = module(TOKENS).logits
    return found


def test_choosing_the_injector_imports_neither_torch_nor_peft() -> None:
    code = (
        "import sys, lorafw_peft.injector as i; i.PeftInjector(r=4);"
        "sys.exit(bool({'torch', 'transformers', 'peft'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize("use_rslora", [False, True])
def test_it_computes_what_peft_itself_does_bit_for_bit(
    bundle: ModelBundle, use_rslora: bool
) -> None:
    config = LoraConfig(
        r=4,
        lora_alpha=6.0,
        use_rslora=use_rslora,
        target_modules=["q_proj", "up_proj"],
        task_type="CAUSAL_LM",
    )
    reference = get_peft_model(copy.deepcopy(bundle.module), config).eval()
    model = disturbed(
        bundle, r=4, alpha=6.0, use_rslora=use_rslora, target_modules=["q_proj", "up_proj"]
    )
    own = get_peft_model_state_dict(bundle.module)
    assert own.keys() == model.trainable().keys()
    peft_names = {f"base_model.model.{name}": tensor for name, tensor in own.items()}
    assert peft_names.keys() == get_peft_model_state_dict(reference).keys()
    for name, parameter in reference.named_parameters():
        if "lora_" in name:
            parameter.data.copy_(peft_names[name.replace(".default", "")])
    assert torch.equal(logits(bundle.module), logits(reference))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_a_model_that_peft_wrapped_is_refused(bundle: ModelBundle) -> None:
    get_peft_model(bundle.module, LoraConfig(target_modules=["q_proj"]))
    with pytest.raises(AdapterError, match="carries an adapter already"):
        PeftInjector().inject(bundle)


def test_disabled_leaves_what_is_trainable_as_it_was(bundle: ModelBundle) -> None:
    model = disturbed(bundle)
    before = {name: p.requires_grad for name, p in bundle.module.named_parameters()}
    with model.disabled():
        pass
    assert {name: p.requires_grad for name, p in bundle.module.named_parameters()} == before


def test_bitsandbytes_is_kept_quiet(bundle: ModelBundle) -> None:
    PeftInjector().inject(bundle)
    assert logging.getLogger("bitsandbytes").level >= logging.ERROR


def test_a_misspelt_option_is_explained() -> None:
    with pytest.raises(
        ConfigError, match=r"injector\.alhpa: unknown option\. Did you mean 'alpha'"
    ):
        PeftInjector.from_mapping({"alhpa": 4}, where="injector")
