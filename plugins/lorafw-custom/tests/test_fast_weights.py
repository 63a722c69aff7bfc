"""Weights that lie together are still the model's own, by name, value and shape."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lorafw.testing.toys import ToyEncoder, toy_bundle, toy_rows
from lorafw.testing.values import as_if_trained, distance
from lorafw.types import Layout
from lorafw_custom.injector import CustomInjector

if TYPE_CHECKING:
    from lorafw.contracts import AdaptedModel


def adapted(fast: Any = "on", **options: Any) -> AdaptedModel:
    options = {"attention_bias": True, **options}
    model = CustomInjector(r=2, fast=fast, kernels="eager").inject(toy_bundle(**options))
    as_if_trained(model)
    return model


def loss(model: AdaptedModel) -> Tensor:
    batch = ToyEncoder().collate(toy_rows(3), Layout.SEGMENTS, 3)
    rows = model.bundle.hidden(batch.inputs).rows
    return (rows * torch.linspace(-1, 2, rows.shape[1])).sum(dim=1).mean()


def gradients(model: AdaptedModel) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss(model), list(model.trainable().values()))


def near(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert distance(one, other) < 1e-5


def values(model: AdaptedModel) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.frozen().items()}


def test_every_base_parameter_is_what_it_was() -> None:
    bundle = toy_bundle(attention_bias=True)
    before = dict(bundle.module.named_parameters())
    kept = {name: p.detach().clone() for name, p in before.items()}
    CustomInjector(r=2, fast="on").inject(bundle)
    after = dict(bundle.module.named_parameters())
    for name, parameter in before.items():
        assert after[name] is parameter, name
        assert parameter.is_contiguous(), name
        assert torch.equal(parameter, kept[name]), name


def test_no_weight_is_held_twice() -> None:
    model = adapted()
    storages = {
        p.untyped_storage().data_ptr(): p.untyped_storage().nbytes()
        for p in model.frozen().values()
    }
    assert sum(storages.values()) == sum(p.nbytes for p in model.frozen().values())


def test_merged_weights_and_the_adapter_are_those_of_the_ordinary_path() -> None:
    fast, plain = adapted(), adapted("off")
    found, wanted = dict(fast.merged_state()), dict(plain.merged_state())
    assert list(found) == list(wanted)
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name
    assert list(fast.state().tensors) == list(plain.state().tensors)


def test_merged_weights_can_be_saved_though_some_share_memory(tmp_path: Path) -> None:
    model = adapted()
    merged = dict(model.merged_state())
    tied = {name: t for name, t in merged.items() if name != "lm_head.weight"}
    save_file(tied, tmp_path / "merged.safetensors")
    for name, tensor in load_file(tmp_path / "merged.safetensors").items():
        assert torch.equal(tensor, merged[name]), name


@pytest.mark.parametrize("adapter", [True, False], ids=["adapted", "disabled"])
def test_the_module_saves_as_transformers_does(tmp_path: Path, adapter: bool) -> None:
    model: Any = adapted()
    weights = {n: p for n, p in model.bundle.module.state_dict().items() if "lora_" not in n}
    model.bundle.module.save_pretrained(
        tmp_path, state_dict=model.bundle.module.state_dict() if adapter else weights
    )
    size = (tmp_path / "model.safetensors").stat().st_size
    assert size < 1.2 * sum(p.nbytes for p in model.bundle.module.state_dict().values())
    saved = load_file(tmp_path / "model.safetensors")
    for name, tensor in saved.items():
        assert torch.equal(tensor, model.bundle.module.state_dict()[name]), name


def test_a_copy_is_a_model_of_its_own() -> None:
    model = adapted()
    wanted = gradients(model)
    copied = copy.deepcopy(model)
    for parameter in model.bundle.module.parameters():
        parameter.data.zero_()
    near(gradients(copied), wanted)


def test_training_moves_no_frozen_number() -> None:
    model = adapted()
    before = values(model)
    optimizer = torch.optim.AdamW(model.trainable().values(), lr=0.01)
    start = loss(model).item()
    for _ in range(3):
        optimizer.zero_grad()
        loss(model).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss(model).item() < start
    after = values(model)
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_the_optimizers_steps_are_seen_at_once() -> None:
    """Nothing of A and B is remembered from one pass to the next."""
    model, plain = adapted(), adapted("off")
    for each in (model, plain):
        gradients(each)
        with torch.no_grad():
            for parameter in each.trainable().values():
                parameter.mul_(1.5)
    near(gradients(model), gradients(plain))
