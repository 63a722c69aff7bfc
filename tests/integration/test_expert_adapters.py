"""Adapters of experts that are one tensor: to disk, to PEFT, to plain transformers, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor
from transformers import AutoModelForCausalLM

import lorafw
from lorafw.adapters.algebra.low_rank import update_of
from lorafw.adapters.layout.peft_fit import check_fit
from lorafw.adapters.layout.peft_layout import read_adapter
from lorafw.assembly.registry import Registry
from lorafw.builtin.adapter_exporter import AdapterExporter
from lorafw.builtin.auto import Auto
from lorafw.builtin.merged_exporter import MergedExporter
from lorafw.cli.main import main
from lorafw.contracts import ModelRequest
from lorafw.contracts.exporter import ExportRequest
from lorafw.errors import AdapterError
from lorafw.inference.adapter_effects import effects_of
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.testing.adapting import logits
from lorafw.testing.toy_experts import FAMILIES, toy_experts_model
from lorafw.testing.toys import toy_tokenizer
from lorafw.testing.values import as_if_trained, distance
from lorafw.types import Task

pytest.importorskip("peft")

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*is_gradient_checkpointing:FutureWarning",  # PEFT 0.21 asks transformers by old names
    "ignore:.*did not match any targeted module:RuntimeWarning",  # though it applies the pattern
)


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, an adapter of its experts and of its attention, and both merged."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    toy_experts_model(request.param).save_pretrained(folder / "base")
    tokenizer: Any = toy_tokenizer()
    tokenizer.save_pretrained(folder / "base")
    path = str(folder / "base")
    builder = Auto(path=path)
    base = builder.build(ModelRequest(Task.CAUSAL_LM, torch.device("cpu")), builder.tokenizer())
    model = injector("custom").inject(base)
    as_if_trained(model)
    asked = ExportRequest(model, builder, {"model": {"use": "auto", "path": path}})
    for name, exporter in {"adapter": AdapterExporter(), "merged": MergedExporter()}.items():
        (folder / name).mkdir()
        exporter.export(asked, folder / name)
    torch.save(logits(base), folder / "logits.pt")
    return folder


def injector(name: str) -> Any:
    options = {"r": 4, "target_modules": ["experts", "q_proj"], "rank_pattern": {"experts": 2}}
    kind: Any = Registry().load("injector", name)
    return kind.from_mapping(options, where="injector")


def wanted(folder: Path) -> Tensor:
    found: Tensor = torch.load(folder / "logits.pt", weights_only=True)
    return found


def plain(path: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(path).eval()


def scores(module: Any) -> Tensor:
    return logits(TransformersBundle(module, toy_tokenizer(), base=""))


def test_the_merged_folder_is_one_for_plain_transformers(folder: Path) -> None:
    assert distance(scores(plain(folder / "merged")), wanted(folder)) <= 1e-5
    assert distance(scores(plain(folder / "base")), wanted(folder)) > 0.01


def test_plain_peft_and_lorafw_read_the_adapter(folder: Path) -> None:
    from peft import PeftModel

    base = plain(folder / "base")
    PeftModel.from_pretrained(base, str(folder / "adapter")).eval()
    assert distance(scores(base), wanted(folder)) <= 1e-5
    assert distance(logits(lorafw.load(folder / "adapter").bundle), wanted(folder)) <= 1e-6


@pytest.mark.parametrize("name", ["custom", "peft"])
def test_both_injectors_read_what_peft_wrote(folder: Path, name: str, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    entries = ["mlp.experts.down_proj", "mlp.experts.gate_up_proj"]
    config = LoraConfig(r=4, target_modules=["v_proj"], target_parameters=entries)
    base = plain(folder / "base")
    model: Any = get_peft_model(base, config)
    torch.manual_seed(0)
    for key, parameter in model.named_parameters():
        if ".lora_" in key:
            torch.nn.init.normal_(parameter, std=0.1)
    model.eval().save_pretrained(tmp_path)
    state = read_adapter(tmp_path)
    kind: Any = Registry().load("injector", name)
    other = plain(folder / "base")
    bundle = TransformersBundle(other, toy_tokenizer(), base="")
    adapted = kind().for_spec(state.spec).inject(bundle)
    adapted.load_state(state.tensors)
    assert distance(logits(bundle), scores(base)) <= 1e-5


def test_a_base_with_other_experts_is_refused(folder: Path) -> None:
    family = json.loads((folder / "base" / "config.json").read_text())["model_type"]
    key = "num_local_experts" if family == "mixtral" else "num_experts"
    other = toy_experts_model(family, **{key: 3})
    state = read_adapter(folder / "adapter")
    with pytest.raises(AdapterError, match="but its 3 experts need"):
        check_fit(state, folder / "adapter", other)


def test_it_cannot_share_a_base_with_other_adapters(folder: Path) -> None:
    with pytest.raises(AdapterError, match="its update cannot be mixed"):
        list(effects_of(read_adapter(folder / "adapter"), plain(folder / "base")))


def test_tools_that_know_one_update_per_module_refuse_it(folder: Path) -> None:
    state = read_adapter(folder / "adapter")
    with pytest.raises(AdapterError, match="many experts with an update each"):
        update_of(state, state.spec.parameters[0])


def test_inspect_shows_what_can_be_named(folder: Path) -> None:
    result = CliRunner().invoke(main, ["models", "inspect", str(folder / "base")])
    assert "in one tensor each of 2 layers: gate_up_proj, down_proj" in result.stdout
