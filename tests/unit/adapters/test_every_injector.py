"""What every installed injector promises, and that they are interchangeable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from lorafw.errors import AdapterError
from lorafw.models.names import checkpoint_names
from lorafw.types import AdapterSpec, Capability, canonical_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorafw.contracts import AdaptedModel, LoRAInjector, ModelBundle

    BuildBundle = Callable[..., ModelBundle]
    Inject = Callable[..., AdaptedModel]

TOKENS = torch.tensor([[5, 9, 11, 4, 30, 22, 7], [17, 3, 8, 60, 41, 6, 12]])
PATTERNS: dict[str, Any] = {
    "target_modules": ["q_proj", "v_proj", "up_proj"],
    "rank_pattern": {"v_proj": 3, "model.layers.1.self_attn.v_proj": 5},
    "alpha_pattern": {"layers.0.mlp.up_proj": 2.5},
}


@torch.no_grad()
def logits(bundle: ModelBundle) -> Tensor:
    inputs = {"input_ids": TOKENS, "attention_mask": torch.ones_like(TOKENS)}
    return bundle.logits(bundle.hidden(inputs).rows)


def disturb(model: AdaptedModel, seed: int = 0) -> None:
    """Values as if trained: B no longer zero."""
    generator = torch.Generator().manual_seed(seed)
    values = {
        name: torch.randn(p.shape, generator=generator) * 0.2
        for name, p in model.trainable().items()
    }
    model.load_state(values)


def test_a_fresh_adapter_changes_nothing(build_bundle: BuildBundle, inject: Inject) -> None:
    bundle = build_bundle()
    before = logits(bundle)
    inject(bundle)
    torch.testing.assert_close(logits(bundle), before, rtol=0, atol=1e-6)


def test_only_the_adapter_is_trainable_and_it_is_fp32(
    build_bundle: BuildBundle, inject: Inject
) -> None:
    bundle = build_bundle(dtype="bf16")
    trainable = inject(bundle).trainable()
    wanting = {id(p) for p in bundle.module.parameters() if p.requires_grad}
    assert wanting == {id(parameter) for parameter in trainable.values()}
    assert {parameter.dtype for parameter in trainable.values()} == {torch.float32}


def test_canonical_names_come_in_module_order(build_bundle: BuildBundle, inject: Inject) -> None:
    bundle = build_bundle()
    names = [name for target in bundle.lora_targets for name in canonical_pair(target)]
    assert list(inject(bundle).trainable()) == names


def test_an_adapter_has_an_effect_and_disabled_gives_the_base_bit_for_bit(
    build_bundle: BuildBundle, inject: Inject
) -> None:
    bundle = build_bundle()
    before = logits(bundle)
    model = inject(bundle)
    disturb(model)
    with model.disabled():
        assert torch.equal(logits(bundle), before)
        with model.disabled():
            assert torch.equal(logits(bundle), before)
        assert torch.equal(logits(bundle), before)
    assert (logits(bundle) - before).abs().max() > 0.1
    assert all(parameter.requires_grad for parameter in model.trainable().values())


def test_disabled_ends_with_an_error_too(build_bundle: BuildBundle, inject: Inject) -> None:
    bundle = build_bundle()
    model = inject(bundle)
    disturb(model)
    before = logits(bundle)
    with pytest.raises(ZeroDivisionError), model.disabled():
        raise ZeroDivisionError
    assert torch.equal(logits(bundle), before)


@pytest.mark.parametrize(("dtype", "tolerance"), [("fp32", 1e-4), ("bf16", 0.15)])
@pytest.mark.parametrize("tied", [False, True])
def test_the_merged_model_is_the_adapted_one(
    build_bundle: BuildBundle, inject: Inject, dtype: str, tolerance: float, tied: bool
) -> None:
    bundle = build_bundle(dtype=dtype, tied=tied)
    model = inject(bundle, r=4)
    disturb(model)
    plain = build_bundle(dtype=dtype, tied=tied)
    plain.module.load_state_dict(dict(model.merged_state()), strict=not tied)
    torch.testing.assert_close(logits(plain), logits(bundle), rtol=0, atol=tolerance)


@pytest.mark.parametrize("tied", [False, True])
def test_merged_tensors_have_the_names_dtypes_and_shapes_of_the_base(
    build_bundle: BuildBundle, inject: Inject, tied: bool
) -> None:
    plain = build_bundle(tied=tied, dtype="bf16").module
    base = plain.state_dict()
    merged = dict(inject(build_bundle(tied=tied, dtype="bf16")).merged_state())
    assert tuple(merged) == checkpoint_names(plain)
    assert ("lm_head.weight" in merged) is not tied
    for name, tensor in merged.items():
        # A fresh adapter adds exactly nothing.
        assert torch.equal(tensor, base[name]), name
        assert tensor.dtype == torch.bfloat16
        assert not tensor.requires_grad


def test_the_update_is_added_in_fp32_and_rounded_once(
    build_bundle: BuildBundle, inject: Inject
) -> None:
    module = "model.layers.0.mlp.up_proj"
    bundle = build_bundle(dtype="bf16")
    weight = bundle.module.get_parameter(f"{module}.weight").detach().clone()
    model = inject(bundle, r=4, alpha=6.0)
    disturb(model)
    down, up = (model.trainable()[name].detach().double() for name in canonical_pair(module))
    exact = (weight.double() + 1.5 * up @ down).float().bfloat16()
    merged = dict(model.merged_state())[f"{module}.weight"]
    assert (merged != exact).float().mean() < 0.01  # fp32 and fp64 round a tie apart now and then
    torch.testing.assert_close(merged, exact, rtol=2**-7, atol=0)


def test_state_survives_reset_and_load_in_place(build_bundle: BuildBundle, inject: Inject) -> None:
    bundle = build_bundle()
    model = inject(bundle)
    disturb(model)
    parameters = list(model.trainable().values())
    state, before = model.state(), logits(bundle)
    model.reset(seed=1)
    assert not torch.equal(logits(bundle), before)
    model.load_state(state.tensors)
    assert torch.equal(logits(bundle), before)
    assert all(a is b for a, b in zip(parameters, model.trainable().values(), strict=True))


def test_state_is_a_copy(build_bundle: BuildBundle, inject: Inject) -> None:
    model = inject(build_bundle())
    state = model.state()
    kept = {name: tensor.clone() for name, tensor in state.tensors.items()}
    disturb(model)
    assert all(torch.equal(state.tensors[name], kept[name]) for name in kept)


def test_start_values_depend_on_seed_and_name_only(
    build_bundle: BuildBundle, injector_class: type[LoRAInjector]
) -> None:
    few = injector_class.from_mapping({"target_modules": ["v_proj"]}, where="injector")
    all_of_them = injector_class.from_mapping({}, where="injector")
    torch.manual_seed(0)
    one = few.inject(build_bundle()).state().tensors
    torch.manual_seed(1)
    other = all_of_them.inject(build_bundle()).state().tensors
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_reset_gives_other_values_for_another_seed(
    build_bundle: BuildBundle, inject: Inject
) -> None:
    model = inject(build_bundle())
    states = []
    for seed in (1, 2, 1):
        model.reset(seed)
        states.append(model.state().tensors)
    names = [name for name in states[0] if "lora_A" in name]
    assert all(torch.equal(states[0][name], states[2][name]) for name in names)
    assert not any(torch.equal(states[0][name], states[1][name]) for name in names)
    assert not any(t.any() for name, t in states[0].items() if "lora_B" in name)


def test_loading_is_all_or_nothing(build_bundle: BuildBundle, inject: Inject) -> None:
    model = inject(build_bundle())
    state = dict(model.state().tensors)
    last = list(state)[-1]
    changed = {name: tensor + 1 for name, tensor in state.items()}
    for bad, fault in (
        ({**changed, last: changed[last][:1]}, "has shape"),
        ({name: t for name, t in changed.items() if name != last}, "lacks 1 tensors"),
        ({**changed, "other": changed[last]}, "no place for 1 tensors, first other"),
    ):
        with pytest.raises(AdapterError, match=fault):
            model.load_state(bad)
        now = model.state().tensors
        assert all(torch.equal(now[name], state[name]) for name in state)


def test_a_second_adapter_is_refused(build_bundle: BuildBundle, inject: Inject) -> None:
    bundle = build_bundle()
    inject(bundle, target_modules=["q_proj"])
    with pytest.raises(AdapterError, match="carries an adapter already"):
        inject(bundle, target_modules=["v_proj"])


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradients_reach_every_layer_through_activation_checkpointing(
    build_bundle: BuildBundle, inject: Inject, reentrant: bool
) -> None:
    plain, saving = build_bundle(), build_bundle()
    grads = []
    for bundle in (plain, saving):
        model = inject(bundle)
        disturb(model)
        if bundle is saving:
            network: Any = bundle.module
            network.activation_checkpointing_enable({"use_reentrant": reentrant})
            network.enable_input_require_grads()
            network.train()
        inputs = {"input_ids": TOKENS, "attention_mask": torch.ones_like(TOKENS)}
        loss = bundle.logits(bundle.hidden(inputs).rows).square().mean()
        torch.autograd.backward(loss)
        grads.append([parameter.grad for parameter in model.trainable().values()])
    for one, other in zip(*grads, strict=True):
        assert one is not None
        assert one.any()
        torch.testing.assert_close(other, one)


def test_dropout_acts_only_while_training_and_leaves_the_base_in_eval(
    build_bundle: BuildBundle, inject: Inject
) -> None:
    bundle = build_bundle()
    model = inject(bundle, dropout=0.5)
    disturb(model)
    still = logits(bundle)
    assert torch.equal(logits(bundle), still)
    model.train(mode=True)
    assert not torch.equal(logits(bundle), logits(bundle))
    assert not bundle.module.training
    model.train(mode=False)
    assert torch.equal(logits(bundle), still)


@pytest.mark.parametrize(("dropout", "depends"), [(0.0, False), (0.1, True)])
def test_capabilities_follow_from_the_options(
    injector_class: type[LoRAInjector], dropout: float, depends: bool
) -> None:
    capabilities = injector_class.from_mapping({"dropout": dropout}, where="x").capabilities
    assert (Capability.SPLIT_DEPENDENT in capabilities) is depends
    assert capabilities >= {
        Capability.IDENTITY_START,
        Capability.MERGEABLE,
        Capability.SEGMENTS,
        Capability.DISABLE,
        Capability.SHARDABLE,
    }


def test_patterns_give_single_modules_another_rank_and_alpha(
    build_bundle: BuildBundle, inject: Inject
) -> None:
    model = inject(build_bundle(), r=4, alpha=8.0, **PATTERNS)
    ranks = {name: t.shape[0] for name, t in model.state().tensors.items() if "lora_A" in name}
    assert ranks["model.layers.0.self_attn.q_proj.lora_A.weight"] == 4
    assert ranks["model.layers.0.self_attn.v_proj.lora_A.weight"] == 3
    assert ranks["model.layers.1.self_attn.v_proj.lora_A.weight"] == 5
    assert model.spec.scaling_of("model.layers.0.mlp.up_proj") == 2.5 / 4
    assert model.spec.scaling_of("model.layers.1.mlp.up_proj") == 2.0


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"rank_pattern": {"o_proj": 2}}, r"injector\.rank_pattern\.o_proj: matches no adapted"),
        ({"alpha_pattern": {"q_proj": -1.0}}, r"alpha_pattern\.q_proj: must be above 0, not -1"),
    ],
)
def test_bad_patterns_are_refused(
    build_bundle: BuildBundle, inject: Inject, options: dict[str, Any], fault: str
) -> None:
    with pytest.raises(AdapterError, match=fault):
        inject(build_bundle(), target_modules=["q_proj"], **options)


@pytest.mark.parametrize("use_rslora", [False, True])
def test_for_spec_makes_exactly_the_adapter_described(
    build_bundle: BuildBundle, injector_class: type[LoRAInjector], use_rslora: bool
) -> None:
    spec = AdapterSpec(
        rank=4,
        alpha=6.0,
        targets=("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"),
        dropout=0.25,
        use_rslora=use_rslora,
        rank_pattern={"model.layers.1.mlp.down_proj": 9},
        alpha_pattern={"model.layers.1.mlp.down_proj": 5.0},
    )
    injector = injector_class.from_mapping({"r": 2}, where="injector").for_spec(spec)
    bundle = build_bundle()
    model = injector.inject(bundle)
    assert model.spec == spec
    before = logits(bundle)
    disturb(model)
    plain = build_bundle()
    assert not torch.equal(logits(bundle), before)
    merged = dict(model.merged_state())
    for module in spec.targets:
        down, up = (model.trainable()[name].detach() for name in canonical_pair(module))
        weight = plain.module.get_parameter(f"{module}.weight").detach()
        expected = weight + spec.scaling_of(module) * up @ down
        torch.testing.assert_close(merged[f"{module}.weight"], expected)


def test_for_spec_refuses_what_it_cannot_make(injector_class: type[LoRAInjector]) -> None:
    injector = injector_class.from_mapping({}, where="injector")
    with pytest.raises(AdapterError, match=r"adapter\.alpha: Input should be greater than 0"):
        injector.for_spec(AdapterSpec(rank=4, alpha=-1.0, targets=("q_proj",)))


@pytest.mark.parametrize("options", [{}, {"use_rslora": True, **PATTERNS}])
def test_one_injector_continues_what_another_began(
    build_bundle: BuildBundle,
    all_injectors: list[type[LoRAInjector]],
    injector_class: type[LoRAInjector],
    options: dict[str, Any],
) -> None:
    bundle = build_bundle()
    model = injector_class.from_mapping(options, where="injector").inject(bundle)
    disturb(model)
    for kind in all_injectors:
        heir_bundle = build_bundle()
        heir = kind.from_mapping({}, where="injector").for_spec(model.spec).inject(heir_bundle)
        assert heir.spec == model.spec
        heir.load_state(model.state().tensors)
        torch.testing.assert_close(logits(heir_bundle), logits(bundle), rtol=0, atol=1e-5)


def test_all_injectors_start_alike(
    build_bundle: BuildBundle, all_injectors: list[type[LoRAInjector]]
) -> None:
    states = []
    for kind in all_injectors:
        model = kind.from_mapping({"r": 4}, where="injector").inject(build_bundle())
        model.reset(seed=3)
        states.append(model.state())
    first, *others = states
    for other in others:
        assert other.spec == first.spec
        assert list(other.tensors) == list(first.tensors)
        assert all(torch.equal(other.tensors[n], tensor) for n, tensor in first.tensors.items())
