"""What promises about adapters are tried with: a small base, an adapter that acts, a few rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.contracts import AdaptedModel, LoRAInjector, ModelBundle
from lorafw.testing.component import ComponentContract
from lorafw.types import Encoded

if TYPE_CHECKING:
    from torch import Tensor


class Adapting(ComponentContract):
    """Promises that need a base with an adapter in it."""

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


def rows() -> list[Encoded]:
    """Three rows of different lengths, always the same."""
    from lorafw.testing.toys import toy_rows

    return toy_rows(3, seed=4)


def logits(bundle: ModelBundle) -> Tensor:
    """A model's logits of all tokens of these rows; fp32."""
    from lorafw.testing.values import logits_of

    return logits_of(bundle, rows())


def off_by(found: ModelBundle, wanted: ModelBundle) -> float:
    """How far two models' logits lie apart, relative to the second's."""
    from lorafw.testing.values import distance

    return distance(logits(found), logits(wanted))


def live_values(model: AdaptedModel) -> dict[str, Tensor]:
    """A copy of the live parameters, by canonical name."""
    return {name: p.detach().clone() for name, p in model.trainable().items()}
