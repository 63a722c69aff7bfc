"""What a model builder, and the bundle it builds, promise."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lorafw.contracts import ModelBuilder, ModelBundle, ModelRequest
from lorafw.testing.component import ComponentContract, options_of
from lorafw.testing.promise import NotPromised, skip_unless
from lorafw.types import Capability, Encoded, Layout, Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor, nn


class ModelContract(ComponentContract, kind="model"):
    """Promises of a `ModelBuilder`; the fixture is called `model`.

    A family that is published in another layout than transformers' overrides `publish`.
    """

    def build(self, model: ModelBuilder) -> ModelBundle:
        """The model on the CPU."""
        import torch

        request = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"), seed=0)
        return model.build(request, model.tokenizer())

    def publish(self, model: ModelBuilder, bundle: ModelBundle, folder: Path) -> ModelBuilder:
        """Write the bundle's tensors as the family publishes them; a builder of what was written.

        Raises:
            NotPromised: the builder reads no folder.
        """
        from lorafw.adapters.files.safe_files import write_json
        from lorafw.adapters.files.safe_tensors import write_tensors
        from lorafw.models.names import checkpoint_names

        if getattr(model, "path", None) is None:
            raise NotPromised("these options read the weights from no folder")
        stored = bundle.module.state_dict()
        native: dict[str, Tensor] = {}
        for name in checkpoint_names(bundle.module):
            native |= model.native_state(name, stored[name].detach().clone())
        write_tensors(folder / "model.safetensors", native)
        write_json(folder / "config.json", model.native_config())
        bundle.tokenizer.save_pretrained(folder)
        return type(model).from_mapping(options_of(model, path=str(folder)), where="model")

    def test_logits_are_finite(self, model: ModelBuilder) -> None:
        logits = _logits(self.build(model), _rows())
        assert logits.isfinite().all(), "some logits are not finite"
        assert logits.std() > 0, "all logits are the same"

    def test_everything_is_frozen(self, model: ModelBuilder) -> None:
        found = self.build(model).module.named_parameters()
        wanting = [name for name, parameter in found if parameter.requires_grad]
        assert not wanting, f"{len(wanting)} parameters want gradients, first {wanting[:1]}"

    def test_lora_targets_are_linears_of_the_module(self, model: ModelBuilder) -> None:
        from lorafw.models.names import is_linear

        bundle = self.build(model)
        assert bundle.lora_targets, "there are no lora_targets"
        modules = dict(bundle.module.named_modules())
        odd = [n for n in bundle.lora_targets if n not in modules or not is_linear(modules[n])]
        assert not odd, f"missing or not linear: {', '.join(odd)}"
        assert len(set(bundle.lora_targets)) == len(bundle.lora_targets), "a target comes twice"

    def test_native_state_inverts_loading(self, model: ModelBuilder, tmp_path: Path) -> None:
        from lorafw.testing.values import distance

        bundle = self.build(model)
        folder = tmp_path / "published"
        folder.mkdir()
        again = self.build(self.publish(model, bundle, folder))
        off = distance(_logits(again, _rows()), _logits(bundle, _rows()))
        assert off == 0, f"the model read back computes something else (by {off:.1e})"

    def test_padding_changes_no_logits(self, model: ModelBuilder) -> None:
        bundle = self._precise(model)
        off = _apart(_logits(bundle, _rows()), _alone(bundle))
        assert off <= 1e-5, f"padded rows differ from rows alone by {off:.1e}"

    def test_segments_change_no_logits(self, model: ModelBuilder) -> None:
        bundle = self._precise(model)
        skip_unless(bundle, Capability.SEGMENTS)
        off = _apart(_logits(bundle, _rows(), Layout.SEGMENTS), _alone(bundle))
        assert off <= 1e-5, f"rows laid end to end differ from rows alone by {off:.1e}"

    def test_head_weight_gives_the_logits(self, model: ModelBuilder) -> None:
        import torch
        from torch.nn import functional as F

        bundle = self._precise(model)
        weight = bundle.head_weight
        if weight is None:
            raise NotPromised("its head is more than one plain linear")
        rows = torch.randn(5, weight.shape[1], generator=torch.Generator().manual_seed(0))
        off = _apart(F.linear(rows, weight), bundle.logits(rows))
        assert off <= 1e-5, f"rows times head_weight differ from logits by {off:.1e}"

    def test_layers_computed_twice_change_no_gradient(self, model: ModelBuilder) -> None:
        bundle = self.build(model)
        if not bundle.layers:
            raise NotPromised("the model does not say what its layers are")
        self._check_computed_twice(bundle, bundle.layers, "layer")

    def test_mlps_computed_twice_change_no_gradient(self, model: ModelBuilder) -> None:
        bundle = self.build(model)
        if not bundle.mlps:
            raise NotPromised("the model does not say what its feed-forward parts are")
        inside = {part for layer in bundle.layers for part in layer.modules()}
        assert inside.issuperset(bundle.mlps), "a feed-forward part is in none of the layers"
        self._check_computed_twice(bundle, bundle.mlps, "feed-forward part")

    def _check_computed_twice(
        self, bundle: ModelBundle, parts: Sequence[nn.Module], what: str
    ) -> None:
        from lorafw.testing.values import equal
        from lorafw.training.gradient_checkpointing import recomputed

        bundle.module.requires_grad_(True)
        once = _gradients(bundle)
        with _calls_counted(parts[0]) as calls, recomputed(parts):
            twice = _gradients(bundle)
        assert len(calls) == 2, f"the first {what} was computed {len(calls)} times, not twice"
        assert equal(twice, once), f"gradients differ when every {what} is computed twice"

    def test_the_identity_of_the_base_is_stable(self, model: ModelBuilder) -> None:
        first, second = self.build(model).base, self.build(model).base
        assert first, "the base has no identity"
        assert first == second, f"built twice, it is {first} and {second}"

    def _precise(self, model: ModelBuilder) -> ModelBundle:
        """In fp32, where only faults are left of differences."""
        bundle = self.build(model)
        bundle.module.float()
        return bundle


def _gradients(bundle: ModelBundle) -> dict[str, Tensor]:
    """Gradients of the sum of squares of what comes before the head."""
    from lorafw.testing.toys import ToyEncoder

    bundle.module.zero_grad()
    inputs = ToyEncoder().collate(_rows(), Layout.PADDED, bundle.pad_id).inputs
    hidden = bundle.hidden(inputs).rows.float()
    hidden.square().sum().backward()  # type: ignore[no-untyped-call]
    found = {name: p.grad for name, p in bundle.module.named_parameters()}
    return {name: grad.clone() for name, grad in found.items() if grad is not None}


@contextmanager
def _calls_counted(layer: nn.Module) -> Iterator[list[object]]:
    """While open, whatever is inside a layer is noted when it is first called in a pass."""
    calls: list[object] = []
    inside = next(part for part in layer.modules() if part is not layer)
    handle = inside.register_forward_pre_hook(lambda part, _: calls.append(part))
    try:
        yield calls
    finally:
        handle.remove()


def _rows() -> list[Encoded]:
    from lorafw.testing.toys import toy_rows

    return toy_rows(4, seed=3, longest=24, vocabulary=32)


def _logits(bundle: ModelBundle, rows: list[Encoded], layout: Layout = Layout.PADDED) -> Tensor:
    from lorafw.testing.values import logits_of

    return logits_of(bundle, rows, layout)


def _alone(bundle: ModelBundle) -> Tensor:
    import torch

    return torch.cat([_logits(bundle, [row]) for row in _rows()])


def _apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, measured by the largest logit."""
    return float((found - wanted).abs().max() / wanted.abs().max())
