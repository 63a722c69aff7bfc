"""Injector `full` keeps the promises of an injector, and trains what plain PyTorch would."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import torch
from torch import Tensor, nn

from lorafw.adapters.layout.peft_layout import read_adapter
from lorafw.assembly.registry import Registry
from lorafw.builtin.adapter_exporter import AdapterExporter
from lorafw.builtin.auto import Auto
from lorafw.builtin.full import FullInjector
from lorafw.builtin.merged_exporter import MergedExporter
from lorafw.contracts import ExportRequest, ModelBundle, ModelRequest
from lorafw.errors import AdapterError, ExportError
from lorafw.testing import InjectorContract
from lorafw.testing.reference import backward, global_batches
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toy_training import started, train, training_plan
from lorafw.testing.toys import toy_bundle, toy_folder, toy_gpt2_bundle, toy_rows
from lorafw.testing.values import as_if_trained, logits_of
from lorafw.types import AdapterSpec, Capability, Task

if TYPE_CHECKING:
    from lorafw.contracts import Trainer

TIED: dict[str, Any] = {"tie_word_embeddings": True}
SHARED = ("model.embed_tokens.weight", "lm_head.weight")


class TestAllParameters(InjectorContract):
    @pytest.fixture
    def injector(self) -> FullInjector:
        return FullInjector()


class TestSomeParametersOfATiedModel(InjectorContract):
    @pytest.fixture
    def injector(self) -> FullInjector:
        return FullInjector(modules=("lm_head", "*.1.mlp", "*norm"))

    def bundle(self, dtype: str = "fp32") -> ModelBundle:
        return toy_bundle(dtype, **TIED)


def plain_training(module: nn.Module) -> dict[str, Tensor]:
    """The toy training of every parameter, by PyTorch alone."""
    plan = training_plan()
    parameters = list(module.requires_grad_(requires_grad=True).parameters())
    decays = {True: plan.weight_decay, False: 0.0}
    groups = [
        {"params": [p for p in parameters if (p.ndim > 1) is matrix], "weight_decay": decay}
        for matrix, decay in decays.items()
    ]
    optimizer = torch.optim.AdamW(groups, lr=plan.learning_rate, betas=plan.betas, eps=plan.eps)
    for rows in global_batches():
        backward(module, rows)
        nn.utils.clip_grad_norm_(parameters, cast("float", plan.max_grad_norm))
        optimizer.step()
        optimizer.zero_grad()
    return {name: parameter.detach() for name, parameter in module.named_parameters()}


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    kind = cast("type[Trainer]", Registry().load("trainer", "ddp"))
    return kind.model_validate({})


@pytest.mark.parametrize("config", [{}, TIED], ids=["untied", "tied"])
def test_it_trains_as_plain_pytorch_does(trainer: Trainer, config: dict[str, Any]) -> None:
    wanted = plain_training(toy_bundle(**config).module)
    model = FullInjector().inject(toy_bundle(**config))
    with started(trainer) as running:
        train(running, model)
    found = model.trainable()
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name].detach(), value, rtol=0, atol=5e-6)


def test_a_resumed_run_ends_bit_for_bit_where_an_unbroken_one_does(
    trainer: Trainer, tmp_path: Path
) -> None:
    make = FullInjector(modules=("*.mlp", "model.embed_tokens")).inject
    with started(trainer) as running:
        whole = train(running, make(toy_bundle("bf16")))
        short = training_plan(max_steps=2)
        train(running, make(toy_bundle("bf16")), short, checkpoints=tmp_path)
        rest = train(running, make(toy_bundle("bf16")), checkpoints=tmp_path, resume=True)
    assert whole.values.keys() == rest.values.keys()
    assert all(rest.values[name].equal(value) for name, value in whole.values.items())


def test_only_what_the_patterns_name_is_trained() -> None:
    def names(*patterns: str) -> list[str]:
        return list(FullInjector(modules=patterns).inject(toy_bundle()).trainable())

    assert names("lm_head") == ["lm_head.weight"]
    assert names("model.layers.1.mlp.up_proj", "model.norm") == [
        "model.layers.1.mlp.up_proj.weight",
        "model.norm.weight",
    ]
    assert len(names("model.layers.?")) == 18
    assert len(names("*")) == 21


def test_a_shared_weight_is_trained_once_and_stays_shared() -> None:
    model = FullInjector(modules=("lm_head",)).inject(toy_bundle(**TIED))
    assert list(model.trainable()) == [SHARED[0]]
    module: Any = model.bundle.module
    assert module.lm_head.weight is module.model.embed_tokens.weight
    tensors = model.state().tensors
    assert sorted(tensors) == sorted(SHARED)
    with pytest.raises(AdapterError, match="are one weight here, and differ"):
        model.load_state({**tensors, SHARED[1]: tensors[SHARED[1]] + 1})


def test_a_pattern_that_matches_nothing_is_told() -> None:
    with pytest.raises(AdapterError) as caught:
        FullInjector(modules=("model.nrm",)).inject(toy_bundle())
    assert str(caught.value) == (
        "injector.modules: no module matches 'model.nrm'. Did you mean 'model.norm'?"
    )


def test_a_conv1d_is_trained_too() -> None:
    model = FullInjector().inject(toy_gpt2_bundle())
    as_if_trained(model)
    assert "transformer.h.0.attn.c_attn.weight" in model.trainable()
    assert logits_of(model.bundle, toy_rows(2)).isfinite().all()


def test_it_does_not_stand_in_for_an_adapter() -> None:
    adapter = AdapterSpec(rank=4, alpha=8.0, targets=("model.layers.0.mlp.up_proj",))
    with pytest.raises(AdapterError, match="makes no adapter"):
        FullInjector().for_spec(adapter)
    whole = AdapterSpec(rank=1, alpha=1.0, targets=(), trained=("lm_head",))
    with pytest.raises(AdapterError, match="Use injector 'full'"):
        ToyInjector().for_spec(whole)


def test_a_quantised_base_is_refused() -> None:
    bundle = toy_bundle()
    cast("Any", bundle.module).is_quantized = True
    with pytest.raises(AdapterError, match="a quantised base cannot be trained itself"):
        FullInjector().inject(bundle)


def test_parameters_in_pieces_are_refused() -> None:
    assert Capability.SHARDABLE not in FullInjector().capabilities


def request_for(folder: Path, **config: Any) -> ExportRequest:
    builder = Auto(path=str(toy_folder(folder / "base", **config)))
    bundle = builder.build(ModelRequest(Task.CAUSAL_LM, torch.device("cpu")), builder.tokenizer())
    model = FullInjector().inject(bundle)
    as_if_trained(model)
    return ExportRequest(model, builder, {"model": {"use": "auto"}})


@pytest.mark.parametrize("kind", [MergedExporter, AdapterExporter])
def test_exports_compute_what_was_trained(
    tmp_path: Path, kind: type[MergedExporter | AdapterExporter]
) -> None:
    request, out = request_for(tmp_path, **TIED), tmp_path / "out"
    out.mkdir()
    exporter = kind()
    exporter.foresee(request)
    exporter.export(request, out)
    numbers = sum(parameter.numel() for parameter in request.model.trainable().values())
    assert exporter.expected_bytes(request) == 4 * numbers
    ids = [5, 9, 11, 4, 30]
    module: Any = request.model.bundle.module
    with torch.no_grad():
        wanted = module(torch.tensor([ids])).logits[0]
    found = exporter.reopen(out, request.builder)
    assert found is not None
    torch.testing.assert_close(found.logits(ids), wanted, rtol=0, atol=1e-5)


def test_a_written_adapter_is_read_back(tmp_path: Path) -> None:
    request = request_for(tmp_path, **TIED)
    (tmp_path / "out").mkdir()
    AdapterExporter().export(request, tmp_path / "out")
    state = read_adapter(tmp_path / "out")
    assert set(SHARED) <= state.tensors.keys()
    bundle = toy_bundle(**TIED)
    heir = FullInjector().for_spec(state.spec).inject(bundle)
    heir.load_state(state.tensors)
    for name, value in request.model.trainable().items():
        assert heir.trainable()[name].equal(value)


def test_a_coarser_dtype_is_refused_as_for_any_model(tmp_path: Path) -> None:
    request = request_for(tmp_path)
    with pytest.raises(ExportError, match="coarser numbers"):
        MergedExporter(dtype="bf16").foresee(request)
