"""What an adapted model promises to those who train it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.testing.adapting import Adapting, live_values, logits, off_by, rows

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw.contracts import AdaptedModel, LoRAInjector


class AdapterTraining(Adapting):
    """Promises about gradients, learning rates, penalties and what a checkpoint keeps."""

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

    def test_learning_rate_scales_are_of_trainable_parameters(self, injector: LoRAInjector) -> None:
        model = injector.inject(self.bundle())
        scales = model.learning_rate_scales()
        unknown = scales.keys() - model.trainable().keys()
        assert not unknown, f"these are not trained: {', '.join(sorted(unknown))}"
        assert all(scale >= 0 for scale in scales.values()), f"below zero: {scales}"

    def test_a_penalty_is_an_fp32_number_with_a_gradient(self, injector: LoRAInjector) -> None:
        import torch

        model = self.trained(injector)
        logits(model.bundle)  # some penalties are of what the forward pass computed
        penalty = model.penalty()
        if penalty is None:
            return
        assert penalty.shape == (), f"it has the shape {list(penalty.shape)}"
        assert penalty.dtype == torch.float32, f"it is {penalty.dtype}"
        assert penalty.requires_grad, "it teaches nothing: it has no gradient"

    def test_another_process_goes_on_from_values_and_training_state(
        self, injector: LoRAInjector
    ) -> None:
        from lorafw.testing.values import equal

        model, heir = self.trained(injector), injector.inject(self.bundle())
        kept = dict(model.training_state())
        elsewhere = [name for name, tensor in kept.items() if tensor.device.type != "cpu"]
        assert not elsewhere, f"not on the CPU: {', '.join(elsewhere)}"
        heir.load_state(live_values(model))
        heir.load_training_state(kept)
        assert equal(dict(heir.training_state()), kept), "other training state than was loaded"
        off = off_by(heir.bundle, model.bundle)
        assert off <= 1e-6, f"the output is off by {off:.1e}"


def _gradients(model: AdaptedModel, *, checkpointing: bool = False) -> dict[str, Tensor]:
    import torch
    from torch.utils.checkpoint import checkpoint

    from lorafw.testing.toys import ToyEncoder
    from lorafw.types import Layout

    bundle = model.bundle
    inputs = ToyEncoder().collate(rows(), Layout.PADDED, bundle.pad_id).inputs

    def computed() -> Tensor:
        return bundle.logits(bundle.hidden(inputs).rows)

    result = checkpoint(computed, use_reentrant=False) if checkpointing else computed()
    torch.autograd.backward(result.float().log_softmax(-1).square().mean())
    found = {name: parameter.grad for name, parameter in model.trainable().items()}
    missing = [name for name, gradient in found.items() if gradient is None]
    assert not missing, f"no gradient at all: {', '.join(missing)}"
    return {name: gradient for name, gradient in found.items() if gradient is not None}
