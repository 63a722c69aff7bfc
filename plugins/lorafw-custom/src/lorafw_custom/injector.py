"""The injector `custom`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field

from lorafw.adapters.live.lora_options import LoRAOptions
from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from lorafw.contracts import AdaptedModel, ModelBundle
    from lorafw.types import AdapterSpec


class CustomInjector(LoRAOptions):
    """LoRA and DoRA through lorafw's own layers: less memory, fewer passes over it than PEFT's."""

    init: Literal["kaiming", "gaussian", "pissa", "orthogonal"] = Field(
        "kaiming",
        description="Where A and B start: kaiming, gaussian (B zero), orthogonal, or pissa, the "
        "weight's principal part (arXiv:2404.02948).",
    )
    fast: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Compute decoder layers of the Llama form by hand-written passes: auto, those "
        "that can be; on, all or refuse; off, none.",
    )
    kernels: Literal["auto", "compiled", "eager"] = Field(
        "auto",
        description="How those passes do all but matrix products: compiled, eager, or compiled if "
        "the run is long enough to be worth it (auto).",
    )

    @property
    def ranks(self) -> frozenset[int]:
        """See `LoRAInjector.ranks`; other starts have values of B."""
        return super().ranks if self.init in {"kaiming", "gaussian"} else frozenset()

    def inject(self, bundle: ModelBundle) -> AdaptedModel:
        """Adapt the bundle's module with lorafw's own layers; see `LoRAInjector.inject`."""
        from lorafw_custom._adapted import CustomAdaptedModel

        spec = self.spec(bundle)
        if spec.embeddings and self.init in {"pissa", "orthogonal"}:
            fault = f"{self.init} is no start for an embedding, {spec.embeddings[0]}."
            raise AdapterError(fault, where="injector.init", mend="Use kaiming or gaussian.")
        if spec.parameters and self.init != "kaiming":
            fault = f"{self.init} is no start for experts in one tensor, {spec.parameters[0]}."
            raise AdapterError(fault, where="injector.init", mend="Use kaiming.")
        return CustomAdaptedModel(
            bundle,
            spec,
            start=self.init,
            lora_plus_ratio=self.lora_plus_ratio,
            fast=self.fast,
            kernels=self.kernels,
        )

    def for_spec(self, spec: AdapterSpec) -> Self:
        """These options replaced by those that give `spec`; its values are to be loaded.

        Raises:
            AdapterError: the spec's values are out of range, or it is another method than LoRA.
        """
        if spec.method != "LORA":
            fault = f"injector 'custom' makes LoRA and DoRA, not {spec.method}."
            raise AdapterError(fault, mend="Use injector 'peft'.")
        return super().for_spec(spec).model_copy(update={"init": "kaiming"})
