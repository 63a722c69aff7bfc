"""What is special to the injector `custom`; what every injector promises is tested in core."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from lorafw.contracts import ModelRequest
from lorafw.errors import AdapterError, ConfigError
from lorafw.testing.toy_training import started, train, training_plan
from lorafw.testing.toys import toy_bundle, toy_folder
from lorafw.testing.values import as_if_trained
from lorafw.types import AdapterSpec, Task
from lorafw_custom._linear import LoRALinear
from lorafw_custom.injector import CustomInjector
from lorafw_ddp.trainer import DDPTrainer

if TYPE_CHECKING:
    from lorafw.contracts import ModelBundle


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    from lorafw.builtin.auto import Auto

    builder = Auto(path=str(toy_folder(tmp_path_factory.mktemp("base"), attention_bias=True)))
    return builder.build(ModelRequest(Task.CAUSAL_LM, torch.device("cpu")), builder.tokenizer())


@pytest.fixture
def bundle(base: ModelBundle) -> ModelBundle:
    return copy.deepcopy(base)


def lora_layers(module: nn.Module) -> dict[str, LoRALinear]:
    return {name: m for name, m in module.named_modules() if isinstance(m, LoRALinear)}


def test_choosing_the_injector_imports_no_torch() -> None:
    code = (
        "import sys, lorafw_custom.injector as i; i.CustomInjector(r=4);"
        "sys.exit(bool({'torch', 'transformers', 'peft'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_each_target_is_replaced_once(bundle: ModelBundle) -> None:
    CustomInjector().inject(bundle)
    layers = lora_layers(bundle.module)
    assert tuple(layers) == bundle.lora_targets
    inner = [m for layer in layers.values() for m in layer.modules() if m is not layer]
    assert not any(isinstance(module, (nn.Linear, LoRALinear)) for module in inner)


def test_base_tensors_keep_their_names_and_their_identity(bundle: ModelBundle) -> None:
    before = dict(bundle.module.named_parameters())
    CustomInjector().inject(bundle)
    after = dict(bundle.module.named_parameters())
    assert all(after[name] is parameter for name, parameter in before.items())
    added = {name.rpartition(".")[2] for name in after.keys() - before.keys()}
    assert added == {"lora_A", "lora_B"}


def test_rank_scaling_and_dropout_reach_the_layers(bundle: ModelBundle) -> None:
    options = {
        "r": 4,
        "alpha": 6.0,
        "dropout": 0.25,
        "rank_pattern": {"v_proj": 2},
        "use_rslora": True,
    }
    CustomInjector.from_mapping(options, where="injector").inject(bundle)
    layers = lora_layers(bundle.module)
    query, value = (layers[f"model.layers.0.self_attn.{name}_proj"] for name in "qv")
    assert (query.lora_A.shape[0], value.lora_A.shape[0]) == (4, 2)
    assert (query.scaling, value.scaling) == (6.0 / 4**0.5, 6.0 / 2**0.5)
    assert query.dropout == 0.25


def test_biases_stay_in_the_output_and_in_the_merged_model(bundle: ModelBundle) -> None:
    name = "model.layers.0.self_attn.q_proj.bias"
    bundle.module.get_parameter(name).data.uniform_(-1, 1)
    rows = torch.randn(3, 32)
    module: Any = bundle.module.get_submodule(name.removesuffix(".bias"))
    expected = module(rows)
    merged = dict(CustomInjector().inject(bundle).merged_state())
    adapted: Any = bundle.module.get_submodule(name.removesuffix(".bias"))
    torch.testing.assert_close(adapted(rows), expected)
    assert torch.equal(merged[name], module.bias)


def test_a_quantised_weight_is_refused_and_nothing_is_replaced(bundle: ModelBundle) -> None:
    name = bundle.lora_targets[-1]
    linear: Any = bundle.module.get_submodule(name)
    linear.weight = nn.Parameter(linear.weight.to(torch.int8), requires_grad=False)
    with pytest.raises(AdapterError, match=rf"{name} cannot be adapted: .*int8"):
        CustomInjector().inject(bundle)
    assert not lora_layers(bundle.module)


def test_a_misspelt_option_is_explained() -> None:
    with pytest.raises(ConfigError, match=r"injector\.rnak_pattern: unknown.*'rank_pattern'"):
        CustomInjector.from_mapping({"rnak_pattern": {}}, where="injector")


def test_another_method_than_lora_is_for_peft() -> None:
    spec = AdapterSpec(rank=4, alpha=8.0, targets=("q_proj",), method="IA3")
    with pytest.raises(AdapterError, match=r"not IA3\. Use injector 'peft'"):
        CustomInjector().for_spec(spec)


def test_an_unknown_start_is_explained() -> None:
    with pytest.raises(ConfigError, match=r"injector\.init: .*'pissa'"):
        CustomInjector.from_mapping({"init": "piss"}, where="injector")


def test_b_learns_faster_than_a_by_the_ratio() -> None:
    """AdamW's first step moves every number by the learning rate."""
    options = {"lora_plus_ratio": 4.0, "target_modules": ["q_proj", "embed_tokens"]}
    model = CustomInjector.from_mapping(options, where="injector").inject(toy_bundle())
    as_if_trained(model)
    before = {name: p.detach().clone() for name, p in model.trainable().items()}
    plan = training_plan(max_steps=1, weight_decay=0.0, eps=1e-12)
    with started(DDPTrainer()) as running:
        train(running, model, plan)
    for name, parameter in model.trainable().items():
        moved = float((parameter.detach() - before[name]).abs().max())
        ratio = 4.0 if "_B" in name else 1.0
        assert moved == pytest.approx(1e-3 * ratio, rel=1e-3), name


def test_training_starts_where_pissa_says_and_ends_elsewhere() -> None:
    model = CustomInjector(r=4, init="pissa").inject(toy_bundle())
    starts = model.training_state()
    with started(DDPTrainer()) as running:
        trained = train(running, model)
    assert all(torch.equal(model.training_state()[name], start) for name, start in starts.items())
    losses = trained.figures("loss")
    assert losses[-1] < losses[0]
    assert len(trained.values["model.layers.0.self_attn.q_proj.lora_A.weight"]) == 8
