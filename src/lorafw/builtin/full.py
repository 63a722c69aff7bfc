"""The injector `full`: no adapter at all, the base's own parameters are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field

from lorafw.contracts.injector import LoRAInjector
from lorafw.errors import AdapterError
from lorafw.types import Capability

if TYPE_CHECKING:
    from lorafw.contracts.injector import AdaptedModel
    from lorafw.contracts.model import ModelBundle
    from lorafw.types import AdapterSpec


class FullInjector(LoRAInjector):
    """Trains the base's own parameters, all or some, in fp32: the baseline of every adapter.

    A weight that modules share, such as that of embedding and head, is trained once, for all of
    them. Memory holds the parameters that are trained twice, in fp32 and as they were.
    """

    modules: tuple[str, ...] = Field(
        ("*",),
        min_length=1,
        description="Which modules are trained, with all that is in them: patterns of full names "
        "such as *.mlp, model.layers.1? or lm_head.",
    )

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All but to be trained in pieces: every rank holds every parameter whole."""
        return frozenset(
            {
                Capability.IDENTITY_START,
                Capability.MERGEABLE,
                Capability.SEGMENTS,
                Capability.DISABLE,
            }
        )

    def inject(self, bundle: ModelBundle) -> AdaptedModel:
        """Make the chosen modules trainable; see `LoRAInjector.inject`."""
        from lorafw.builtin._full_model import FullModel

        return FullModel(bundle, self.modules)

    def for_spec(self, spec: AdapterSpec) -> Self:
        """One that trains exactly the modules `spec` names.

        Raises:
            AdapterError: the spec is of an adapter, not of trained modules alone.
        """
        if spec.method != "LORA" or spec.targets or spec.token_rows or spec.biases:
            fault = "injector 'full' makes no adapter, it trains whole modules."
            raise AdapterError(fault, mend="Use injector 'custom' or 'peft'.")
        return self.model_copy(update={"modules": spec.trained})
