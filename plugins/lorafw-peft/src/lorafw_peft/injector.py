"""The injector `peft`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.adapters.lora_options import LoRAOptions

if TYPE_CHECKING:
    from lorafw.contracts import AdaptedModel, ModelBundle


class PeftInjector(LoRAOptions):
    """LoRA through the PEFT library's own layers."""

    def inject(self, bundle: ModelBundle) -> AdaptedModel:
        """Adapt the bundle's module with PEFT's layers; see `LoRAInjector.inject`."""
        from lorafw_peft._adapted import PeftAdaptedModel

        return PeftAdaptedModel(bundle, self.spec(bundle))
