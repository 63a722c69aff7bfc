"""What an injector, and the adapted model it makes, promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.contracts import LoRAInjector, ModelBundle
from lorafw.errors import AdapterError
from lorafw.testing.adapter_exchange import AdapterExchange
from lorafw.testing.adapter_prompts import AdapterPrompts
from lorafw.testing.adapter_start import AdapterStart
from lorafw.testing.adapter_training import AdapterTraining
from lorafw.testing.adapting import live_values, logits, off_by
from lorafw.testing.promise import refused, skip_unless
from lorafw.types import AdapterSpec, Capability, token_rows_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn


class InjectorContract(
    AdapterTraining, AdapterStart, AdapterExchange, AdapterPrompts, kind="injector"
):
    """Promises of a `LoRAInjector`; the fixture is called `injector`.

    An injector whose options do not fit a toy Llama overrides `bundle`.
    """

    def test_a_fresh_adapter_changes_nothing(self, injector: LoRAInjector) -> None:
        skip_unless(injector, Capability.IDENTITY_START)
        off = off_by(injector.inject(self.bundle()).bundle, self.bundle())
        assert off <= 1e-6, f"the output moved by {off:.1e}"

    def test_only_the_adapter_wants_gradients(self, injector: LoRAInjector) -> None:
        model = injector.inject(self.bundle())
        wanting = {id(p) for p in model.bundle.module.parameters() if p.requires_grad}
        own = {id(parameter) for parameter in model.trainable().values()}
        assert wanting == own, f"{len(wanting - own)} others want them, {len(own - wanting)} do not"

    def test_trainable_parameters_are_fp32_on_any_base(self, injector: LoRAInjector) -> None:
        import torch

        for dtype in ("fp32", "bf16"):
            parameters = injector.inject(self.bundle(dtype)).trainable().values()
            found = {parameter.dtype for parameter in parameters}
            assert found == {torch.float32}, f"on a {dtype} base they are {found}"

    def test_names_are_canonical_and_each_target_is_adapted_once(
        self, injector: LoRAInjector
    ) -> None:
        model, base = injector.inject(self.bundle()), self.bundle()
        spec, parameters = model.spec, model.trainable()
        assert parameters, "nothing is adapted"
        assert len({id(p) for p in parameters.values()}) == len(parameters), "one is shared"
        if spec.method != "LORA":  # the names of other methods are PEFT's own
            return
        names = [name for target in spec.targets for name in spec.names_of(target)]
        names += _trained_names(spec, base)
        assert sorted(parameters) == sorted(names), f"{sorted(parameters)} is not {sorted(names)}"
        for target in spec.targets:
            shapes = [tuple(parameters[name].shape) for name in spec.names_of(target)]
            wanted = _shapes(spec, target, base.module)
            assert shapes == wanted, f"{target} has tensors of {shapes}, not of {wanted}"

    def test_a_second_adapter_is_refused(self, injector: LoRAInjector) -> None:
        bundle = self.bundle()
        injector.inject(bundle)
        with refused(AdapterError):
            injector.inject(bundle)

    def test_state_reset_and_load_state_come_full_circle(self, injector: LoRAInjector) -> None:
        import torch

        from lorafw.testing.values import equal

        model = self.trained(injector)
        values, kept = live_values(model), dict(model.training_state())
        before = logits(model.bundle)
        model.reset(seed=1)
        assert not torch.equal(logits(model.bundle), before), "reset did nothing"
        model.load_state(values)
        model.load_training_state(kept)
        assert equal(live_values(model), values), "other values than were loaded"
        assert torch.equal(logits(model.bundle), before), "other logits than before"

    def test_loading_and_resetting_keep_the_parameters(self, injector: LoRAInjector) -> None:
        model = self.trained(injector)
        before = {name: id(parameter) for name, parameter in model.trainable().items()}
        model.reset(seed=1)
        model.load_state(live_values(model))
        after = {name: id(parameter) for name, parameter in model.trainable().items()}
        assert after == before, "an optimizer would hold parameters that are not used any more"

    def test_reset_is_a_function_of_the_seed_alone(self, injector: LoRAInjector) -> None:
        import torch

        from lorafw.testing.values import equal

        model, states = injector.inject(self.bundle()), []
        for seed in (1, 2, 1):
            model.reset(seed)
            torch.rand(3)  # the global generator moves on, which must not matter
            states.append(live_values(model))
        assert equal(states[2], states[0]), "the same seed gave other values"
        if _starts_at_random(states[0]):
            assert not equal(states[1], states[0]), "another seed gave the same values"

    def test_disabled_is_the_base_bit_for_bit(self, injector: LoRAInjector) -> None:
        import torch

        skip_unless(injector, Capability.DISABLE)
        model = self.trained(injector)
        adapted, base = logits(model.bundle), logits(self.bundle())
        assert not torch.equal(adapted, base), "the adapter has no effect"
        with model.disabled():
            assert torch.equal(logits(model.bundle), base), "this is not the base"
        assert torch.equal(logits(model.bundle), adapted), "it stayed disabled"

    def test_the_merged_model_computes_what_the_adapted_one_does(
        self, injector: LoRAInjector
    ) -> None:
        from lorafw.models.names import checkpoint_names

        skip_unless(injector, Capability.MERGEABLE)
        for dtype, tolerance in (("fp32", 1e-5), ("bf16", 0.03)):
            model, plain = self.trained(injector, dtype), self.bundle(dtype)
            merged = dict(model.merged_state())
            names = set(checkpoint_names(plain.module))
            assert merged.keys() == names, f"not the base's names: {sorted(merged.keys() ^ names)}"
            plain.module.load_state_dict(merged, strict=False)
            off = off_by(plain, model.bundle)
            assert off <= tolerance, f"in {dtype} the merged model is off by {off:.1e}"

    def test_a_bf16_base_computes_nearly_what_an_fp32_one_does(
        self, injector: LoRAInjector
    ) -> None:
        low, high = (self.trained(injector, dtype).bundle for dtype in ("bf16", "fp32"))
        off = off_by(low, high)
        assert off <= 0.1, f"the output is off by {off:.1e}"


def _trained_names(spec: AdapterSpec, base: ModelBundle) -> Iterator[str]:
    """The names of what is trained of the base itself: whole modules, and rows."""
    inside = tuple(f"{module}." for module in (*base.head_modules, *spec.trained))
    for name, _ in base.module.named_parameters(remove_duplicate=False):
        if name.startswith(inside):
            yield name
    yield from (f"{module}.bias" for module in spec.biases)
    yield from map(token_rows_name, (*base.token_rows, *(spec.token_rows.keys() - base.token_rows)))


def _shapes(spec: AdapterSpec, target: str, base: nn.Module) -> list[tuple[int, ...]]:
    """Of A, of B and, for DoRA, of the magnitude."""
    from lorafw.models.experts import expert_sizes
    from lorafw.models.names import stores_transposed

    if target in spec.parameters:
        experts, wide, out, _ = expert_sizes(base, target)
        return [(spec.rank_of(target) * experts, wide), (out, spec.rank_of(target) * experts)]
    module = base.get_submodule(target)
    rank, (first, second) = spec.rank_of(target), module.get_parameter("weight").shape
    turned = stores_transposed(module) or target in spec.embeddings
    out, wide = (second, first) if turned else (first, second)
    return [(rank, wide), (out, rank), (out,)][: len(spec.names_of(target))]


def _starts_at_random(values: dict[str, Tensor]) -> bool:
    """Whether a fresh adapter is LoRA's usual one: B is zero, so A has to be random."""
    ups = [value for name, value in values.items() if name.endswith(".lora_B.weight")]
    return bool(ups) and not any(up.any() for up in ups)
