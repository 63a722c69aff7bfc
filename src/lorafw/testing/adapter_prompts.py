"""What an adapted model promises whose virtual tokens can be chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.errors import AdapterError
from lorafw.testing.adapting import Adapting, logits, off_by, rows
from lorafw.testing.promise import NotPromised, refused, skip_unless
from lorafw.types import Capability

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw.contracts import AdaptedModel, LoRAInjector


class AdapterPrompts(Adapting):
    """Promises about `AdaptedModel.showing`."""

    def test_virtual_tokens_that_cannot_be_chosen_are_refused(self, injector: LoRAInjector) -> None:
        import torch

        chooses = Capability.CHOSEN_PROMPTS in injector.capabilities
        missing = torch.tensor([-1]) if chooses else torch.tensor([0])
        with refused(AdapterError), injector.inject(self.bundle()).showing(missing):
            pass

    def test_what_is_shown_is_the_model_that_is_exported(self, injector: LoRAInjector) -> None:
        import torch

        model = _choosing(self, injector)
        whole, base = logits(model.bundle), self.bundle()
        with model.showing(torch.tensor([1, 0])):
            state = model.state()
            heir = injector.for_spec(state.spec).inject(base)
            heir.load_state(state.tensors)
            off = off_by(heir.bundle, model.bundle)
        assert off <= 1e-5, f"its own state computes something else, off by {off:.1e}"
        assert not torch.equal(logits(heir.bundle), whole), "the choice has no effect"
        assert torch.equal(logits(model.bundle), whole), "it went on showing them"

    def test_of_no_virtual_token_the_base_is_left(self, injector: LoRAInjector) -> None:
        import torch

        model = _choosing(self, injector)
        if model.spec.trained:
            raise NotPromised("it also trains modules of the base")
        with model.showing(torch.tensor([], dtype=torch.long)):
            left = logits(model.bundle)
        assert torch.equal(left, logits(self.bundle())), "this is not the base"

    def test_each_row_can_be_shown_its_own(self, injector: LoRAInjector) -> None:
        import torch

        from lorafw.testing.values import distance, logits_of
        from lorafw.types import Layout

        model = _choosing(self, injector)
        chosen = torch.tensor([[0, 1], [1, 0], [1, 1]])
        alone = []
        for row, own in zip(rows(), chosen, strict=True):
            with model.showing(own):
                alone.append(logits_of(model.bundle, [row]))
        segments = Capability.SEGMENTS in injector.capabilities & model.bundle.capabilities
        for layout in Layout if segments else [Layout.PADDED]:
            with model.showing(chosen):
                together = logits_of(model.bundle, rows(), layout)
            off = distance(together, torch.cat(alone))
            assert off <= 1e-5, f"{layout}: rows together are off by {off:.1e}"

    def test_only_those_that_learn_have_gradients(self, injector: LoRAInjector) -> None:
        import torch

        from lorafw.testing.values import distance

        model, shown = _choosing(self, injector), torch.tensor([1, 0])
        whole = _gradient(model, shown, None)
        part = _gradient(model, shown, torch.tensor([0]))
        assert not part[1:].any(), "one that shall not learn has a gradient"
        off = distance(part[0], whole[0])
        assert off <= 1e-6, f"the gradient of the other is off by {off:.1e}"
        assert whole[:2].any(dim=1).all(), "one that learns has none"


def _choosing(kit: Adapting, injector: LoRAInjector) -> AdaptedModel:
    skip_unless(injector, Capability.CHOSEN_PROMPTS)
    return kit.trained(injector)


def _gradient(model: AdaptedModel, shown: Tensor, learning: Tensor | None) -> Tensor:
    """Of the table of virtual tokens, [all, width]."""
    import torch

    from lorafw.testing.toys import ToyEncoder
    from lorafw.types import Layout

    table = next(iter(model.trainable().values()))
    batch = ToyEncoder().collate(rows(), Layout.PADDED, model.bundle.pad_id)
    with model.showing(shown, learning=learning):
        output = model.bundle.hidden(batch.inputs).rows
    weights = torch.linspace(-1, 1, output.numel()).view_as(output)
    found: Tensor = torch.autograd.grad((output * weights).sum(), table)[0]
    return found
