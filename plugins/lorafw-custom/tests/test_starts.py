"""Where training starts, and what becomes of a start that is subtracted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from lorafw.errors import AdapterError
from lorafw.testing.toys import toy_bundle, toy_rows
from lorafw.testing.values import as_if_trained, distance, equal, logits_of
from lorafw.types import Capability
from lorafw_custom._linear import LoRALinear
from lorafw_custom._starts import start_values
from lorafw_custom.injector import CustomInjector

if TYPE_CHECKING:
    from lorafw.contracts import AdaptedModel

ROWS = toy_rows(2, seed=1)
PISSA: dict[str, Any] = {
    "init": "pissa",
    "rank_pattern": {"q_proj": 2},
    "alpha_pattern": {"up_proj": 5.0},
}


def injected(dtype: str = "fp32", **options: Any) -> AdaptedModel:
    injector = CustomInjector.from_mapping({"r": 4, **options}, where="injector")
    return injector.inject(toy_bundle(dtype))


def layer(rank: int = 4, wide: int = 12, out: int = 10) -> LoRALinear:
    torch.manual_seed(0)
    return LoRALinear(nn.Linear(wide, out, bias=False), rank=rank, scaling=2.0)


def values(start: Any, made: LoRALinear, name: str = "q", seed: int = 0) -> tuple[Tensor, Tensor]:
    found = start_values(start, made, name, seed)
    assert found is not None
    return found


@pytest.mark.parametrize("use_dora", [False, True])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_pissa_starts_with_the_very_function_of_the_base(dtype: str, use_dora: bool) -> None:
    model = injected(dtype, use_dora=use_dora, **PISSA)
    assert torch.equal(logits_of(model.bundle, ROWS), logits_of(toy_bundle(dtype), ROWS))
    assert all(p.any() for p in model.trainable().values())


def test_orthogonal_starts_with_the_function_of_the_base() -> None:
    model = injected(init="orthogonal")
    assert Capability.IDENTITY_START in CustomInjector(init="orthogonal").capabilities
    assert distance(logits_of(model.bundle, ROWS), logits_of(toy_bundle(), ROWS)) < 1e-6
    assert all(p.any() for p in model.trainable().values())


def test_pissa_takes_the_principal_part_of_the_weight() -> None:
    made = layer()
    a, b = values("pissa", made)
    u, s, vh = torch.linalg.svd(made.weight)
    principal = (u[:, :4] * s[:4]) @ vh[:4]
    torch.testing.assert_close(2.0 * b @ a, principal, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(a @ a.t(), b.t() @ b, rtol=1e-4, atol=1e-5)  # evenly shared


def test_gaussian_is_as_wide_as_in_peft() -> None:
    a, b = values("gaussian", layer(rank=8, wide=4000))
    assert a.std() == pytest.approx(1 / 8, rel=0.02)
    assert not b.any()


@pytest.mark.parametrize("start", ["gaussian", "pissa", "orthogonal"])
def test_a_start_follows_from_seed_name_and_weight(start: str) -> None:
    made = layer()
    first = values(start, made)
    torch.rand(3)  # the global generator moves on, which must not matter
    assert all(map(torch.equal, values(start, made), first))
    assert not torch.equal(values(start, made, seed=1)[0], first[0])
    assert not torch.equal(values(start, made, name="k")[0], first[0])


@pytest.mark.parametrize(
    ("start", "rank", "fault"),
    [("orthogonal", 3, "even rank; q has 3"), ("pissa", 11, "q has 10 singular values")],
)
def test_a_rank_that_allows_no_such_start_is_refused(start: str, rank: int, fault: str) -> None:
    with pytest.raises(AdapterError, match=fault):
        values(start, layer(rank=rank))


def test_an_embedding_has_no_principal_part_here() -> None:
    with pytest.raises(AdapterError, match=r"injector\.init: pissa is no start for an embedding"):
        injected(init="pissa", target_modules=["embed_tokens"])


@pytest.mark.parametrize("use_rslora", [False, True])
@pytest.mark.parametrize("use_dora", [False, True])
def test_a_subtracted_start_is_exported_as_lora_of_twice_the_rank(
    use_rslora: bool, use_dora: bool
) -> None:
    model = injected(use_rslora=use_rslora, use_dora=use_dora, **PISSA)
    as_if_trained(model)
    state = model.state()
    assert state.spec.rank_of("model.layers.0.self_attn.q_proj") == 4
    heir = CustomInjector(init="pissa").for_spec(state.spec).inject(toy_bundle())
    heir.load_state(state.tensors)
    assert heir.state().spec == state.spec
    assert not heir.training_state()
    assert distance(logits_of(heir.bundle, ROWS), logits_of(model.bundle, ROWS)) < 1e-5


def test_an_exported_start_can_be_taken_up_again_bit_for_bit() -> None:
    model, other = injected(**PISSA), injected(**PISSA)
    as_if_trained(model)
    other.reset(seed=9)
    other.load_state(model.state().tensors)
    assert equal(other.state().tensors, model.state().tensors)
    assert torch.equal(logits_of(other.bundle, ROWS), logits_of(model.bundle, ROWS))


def test_a_checkpoint_brings_the_start_back() -> None:
    model, other = injected(**PISSA), injected(**PISSA)
    as_if_trained(model)
    other.reset(seed=9)
    other.load_state({name: p.detach() for name, p in model.trainable().items()})
    assert not torch.equal(logits_of(other.bundle, ROWS), logits_of(model.bundle, ROWS))
    other.load_training_state(model.training_state())
    assert torch.equal(logits_of(other.bundle, ROWS), logits_of(model.bundle, ROWS))


def test_a_checkpoint_of_another_start_is_refused() -> None:
    with pytest.raises(AdapterError, match="no place for 28 tensors"):
        injected().load_training_state(injected(init="pissa").training_state())


@pytest.mark.parametrize("start", ["kaiming", "gaussian", "orthogonal", "pissa"])
def test_injector_peft_starts_alike(start: str) -> None:
    peft = pytest.importorskip("lorafw_peft.injector")
    ours = injected(init=start)
    theirs = peft.PeftInjector(r=4, init=start).inject(toy_bundle())
    for model in (ours, theirs):
        model.reset(seed=3)
    for name, parameter in theirs.trainable().items():
        pair = ours.trainable()[name].detach(), parameter.detach()
        if start == "pissa":  # a singular vector has no sign of its own
            pair = pair[0].abs(), pair[1].abs()
        torch.testing.assert_close(*pair, rtol=1e-3, atol=2e-3)
