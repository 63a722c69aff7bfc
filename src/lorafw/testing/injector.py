"""What an injector, and the adapted model it makes, promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.contracts import AdaptedModel, LoRAInjector, ModelBundle
from lorafw.errors import AdapterError
from lorafw.testing.component import ComponentContract
from lorafw.testing.promise import refused, skip_unless
from lorafw.types import Capability, Encoded, canonical_pair

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn


class InjectorContract(ComponentContract, kind="injector"):
    """Promises of a `LoRAInjector`; the fixture is called `injector`.

    An injector whose options do not fit a toy Llama overrides `bundle`.
    """

    def bundle(self, dtype: str = "fp32") -> ModelBundle:
        """A small base model, always the same, in `fp32` or `bf16`."""
        from lorafw.testing.toys import toy_bundle

        return toy_bundle(dtype)

    def trained(self, injector: LoRAInjector, dtype: str = "fp32") -> AdaptedModel:
        """The base with an adapter that acts."""
        from lorafw.testing.values import as_if_trained

        model = injector.inject(self.bundle(dtype))
        as_if_trained(model)
        return model

    def test_a_fresh_adapter_changes_nothing(self, injector: LoRAInjector) -> None:
        skip_unless(injector, Capability.IDENTITY_START)
        off = _distance(injector.inject(self.bundle()).bundle, self.bundle())
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
        names = [name for target in spec.targets for name in canonical_pair(target)]
        assert names, "nothing is adapted"
        names += _whole(base)
        assert sorted(parameters) == sorted(names), f"{sorted(parameters)} is not {sorted(names)}"
        assert len({id(p) for p in parameters.values()}) == len(names), "a parameter is shared"
        for target in spec.targets:
            out, wide = _size(base.module.get_submodule(target))
            shapes = [tuple(parameters[name].shape) for name in canonical_pair(target)]
            rank = spec.rank_of(target)
            assert shapes == [(rank, wide), (out, rank)], f"{target} has A and B of {shapes}"

    def test_a_second_adapter_is_refused(self, injector: LoRAInjector) -> None:
        bundle = self.bundle()
        injector.inject(bundle)
        with refused(AdapterError):
            injector.inject(bundle)

    def test_state_reset_and_load_state_come_full_circle(self, injector: LoRAInjector) -> None:
        import torch

        from lorafw.testing.values import equal, logits_of

        model = self.trained(injector)
        state, before = model.state(), logits_of(model.bundle, _rows())
        model.reset(seed=1)
        assert not torch.equal(logits_of(model.bundle, _rows()), before), "reset did nothing"
        model.load_state(state.tensors)
        assert equal(model.state().tensors, state.tensors), "other values than were loaded"
        assert torch.equal(logits_of(model.bundle, _rows()), before), "other logits than before"

    def test_loading_and_resetting_keep_the_parameters(self, injector: LoRAInjector) -> None:
        model = self.trained(injector)
        before = {name: id(parameter) for name, parameter in model.trainable().items()}
        model.reset(seed=1)
        model.load_state(model.state().tensors)
        after = {name: id(parameter) for name, parameter in model.trainable().items()}
        assert after == before, "an optimizer would hold parameters that are not used any more"

    def test_reset_is_a_function_of_the_seed_alone(self, injector: LoRAInjector) -> None:
        import torch

        from lorafw.testing.values import equal

        model, states = injector.inject(self.bundle()), []
        for seed in (1, 2, 1):
            model.reset(seed)
            torch.rand(3)  # the global generator moves on, which must not matter
            states.append(model.state().tensors)
        assert equal(states[2], states[0]), "the same seed gave other values"
        assert not equal(states[1], states[0]), "another seed gave the same values"

    def test_disabled_is_the_base_bit_for_bit(self, injector: LoRAInjector) -> None:
        import torch

        from lorafw.testing.values import logits_of

        skip_unless(injector, Capability.DISABLE)
        model = self.trained(injector)
        adapted, base = (logits_of(b, _rows()) for b in (model.bundle, self.bundle()))
        assert not torch.equal(adapted, base), "the adapter has no effect"
        with model.disabled():
            assert torch.equal(logits_of(model.bundle, _rows()), base), "this is not the base"
        assert torch.equal(logits_of(model.bundle, _rows()), adapted), "it stayed disabled"

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
            off = _distance(plain, model.bundle)
            assert off <= tolerance, f"in {dtype} the merged model is off by {off:.1e}"

    def test_gradients_reach_every_a_and_b(self, injector: LoRAInjector) -> None:
        for dtype in ("fp32", "bf16"):
            for name, gradient in _gradients(self.trained(injector, dtype)).items():
                assert gradient.isfinite().all(), f"{name}, {dtype} base: not finite"
                assert gradient.any(), f"{name}, {dtype} base: no gradient"

    def test_activation_checkpointing_changes_no_gradient(self, injector: LoRAInjector) -> None:
        from lorafw.testing.values import distance

        plain = _gradients(self.trained(injector))
        saving = _gradients(self.trained(injector), checkpointing=True)
        for name, gradient in plain.items():
            off = distance(saving[name], gradient)
            assert off <= 1e-6, f"{name} is off by {off:.1e}"

    def test_a_bf16_base_computes_nearly_what_an_fp32_one_does(
        self, injector: LoRAInjector
    ) -> None:
        low, high = (self.trained(injector, dtype).bundle for dtype in ("bf16", "fp32"))
        off = _distance(low, high)
        assert off <= 0.1, f"the output is off by {off:.1e}"

    def test_every_other_injector_takes_the_state(self, injector: LoRAInjector) -> None:
        from lorafw.testing.exchange import other_injectors

        model = self.trained(injector)
        for name, heir in other_injectors(injector, model.spec):
            other = heir.inject(self.bundle())
            other.load_state(model.state().tensors)
            off = _distance(other.bundle, model.bundle)
            assert off <= 1e-5, f"under '{name}' the output is off by {off:.1e}"

    def test_plain_peft_loads_the_written_adapter(
        self, injector: LoRAInjector, tmp_path: Path
    ) -> None:
        from lorafw.testing.exchange import load_with_peft
        from lorafw.testing.values import distance, logits_of

        model, base = self.trained(injector), self.bundle()
        load_with_peft(base, model, tmp_path)
        off = distance(logits_of(base, _rows()), logits_of(model.bundle, _rows()))
        assert off <= 1e-5, f"under PEFT the output is off by {off:.1e}"


def _whole(base: ModelBundle) -> list[str]:
    """The base's names of what is trained whole."""
    inside = tuple(f"{module}." for module in base.head_modules)
    return [name for name, _ in base.module.named_parameters() if name.startswith(inside)]


def _size(linear: nn.Module) -> tuple[int, int]:
    """How many features come out of a linear and go into it."""
    from lorafw.models.names import stores_transposed

    first, second = linear.get_parameter("weight").shape
    return (second, first) if stores_transposed(linear) else (first, second)


def _rows() -> list[Encoded]:
    from lorafw.testing.toys import toy_rows

    return toy_rows(3, seed=4)


def _distance(found: ModelBundle, wanted: ModelBundle) -> float:
    from lorafw.testing.values import distance, logits_of

    return distance(logits_of(found, _rows()), logits_of(wanted, _rows()))


def _gradients(model: AdaptedModel, *, checkpointing: bool = False) -> dict[str, Tensor]:
    import torch
    from torch.utils.checkpoint import checkpoint

    from lorafw.testing.toys import ToyEncoder
    from lorafw.types import Layout

    bundle = model.bundle
    inputs = ToyEncoder().collate(_rows(), Layout.PADDED, bundle.pad_id).inputs

    def logits() -> Tensor:
        return bundle.logits(bundle.hidden(inputs).rows)

    result = checkpoint(logits, use_reentrant=False) if checkpointing else logits()
    torch.autograd.backward(result.float().log_softmax(-1).square().mean())
    found = {name: parameter.grad for name, parameter in model.trainable().items()}
    missing = [name for name, gradient in found.items() if gradient is None]
    assert not missing, f"no gradient at all: {', '.join(missing)}"
    return {name: gradient for name, gradient in found.items() if gradient is not None}
