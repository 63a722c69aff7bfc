"""An injector as plain as can be, so that other parts can be tried without any plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.adapters.live.lora_options import LoRAOptions

if TYPE_CHECKING:
    from lorafw.contracts import AdaptedModel, ModelBundle


class ToyInjector(LoRAOptions):
    """LoRA written out: two more products behind each frozen one."""

    def inject(self, bundle: ModelBundle) -> AdaptedModel:
        """Put a layer of ours around each target; see `LoRAInjector.inject`."""
        from lorafw.testing._toy_lora import ToyAdaptedModel

        return ToyAdaptedModel(bundle, self.spec(bundle))
