"""The injector `peft`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from lorafw.adapters.live.lora_options import LoRAOptions
from lorafw.errors import AdapterError, ConfigError
from lorafw.types import Capability
from lorafw_peft._prompt_methods import (
    PROMPT_METHODS,
    TABLE,
    finished_options,
    prompt_capabilities,
    virtual_tokens,
)
from lorafw_peft.methods import ALL_LINEAR, LORA, SET_BY_LORAFW, tuned_capabilities
from lorafw_peft.starts import (
    B_IS_ZERO,
    EMBEDDING_STARTS,
    KAIMING,
    check_start,
    keeps_function,
    moves_output,
)

if TYPE_CHECKING:
    from typing import Self

    from lorafw.contracts import AdaptedModel, ModelBundle
    from lorafw.types import AdapterSpec


class PeftInjector(LoRAOptions):
    """Any method of the PEFT library, through its own layers; LoRA unless another is named."""

    method: str = Field(
        "lora", description="The method, by the name PEFT has for it, such as adalora, ia3, vera."
    )
    method_options: dict[str, Any] = Field(
        default_factory=dict,
        description="Options of another method than lora, by the names of PEFT's config class.",
    )
    init: str = Field(
        KAIMING,
        description="Where LoRA's A and B start: kaiming, gaussian (B zero), orthogonal, pissa "
        "(arXiv:2404.02948), pissa_niter_N (faster), olora (arXiv:2406.01775); by rows of data eva "
        "(arXiv:2410.07170), corda or corda_kpm (arXiv:2406.05223), lora_ga (arXiv:2407.05000); by "
        "what nf4 lost loftq (arXiv:2310.08659).",
    )
    init_rows: int = Field(
        64, ge=1, description="How many training rows eva, corda and lora_ga look at."
    )

    @field_validator("init")
    @classmethod
    def _known_start(cls, init: str) -> str:
        return check_start(init)

    @property
    def peft_type(self) -> str:
        """The method as PEFT writes it, such as LORA."""
        return self.method.upper()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the method can do; a start that is subtracted has frozen factors to keep whole."""
        if self.peft_type in PROMPT_METHODS:
            able = prompt_capabilities(self.peft_type, self.method_options)
            # What is trained whole beside them would be the same whichever are chosen.
            return able - ({Capability.CHOSEN_PROMPTS} if self.modules_to_save else set())
        if self.peft_type != LORA:
            given = self.method_options | ({"dropout": self.dropout} if self.dropout else {})
            return tuned_capabilities(self.peft_type, given)
        cannot = set()
        if moves_output(self.init):
            cannot.add(Capability.SHARDABLE)
        if not keeps_function(self.init):
            cannot.add(Capability.IDENTITY_START)
        return super().capabilities - cannot

    @property
    def ranks(self) -> frozenset[int]:
        """See `LoRAInjector.ranks`; of other starts B has values, or its rank is found by rows."""
        plain = self.peft_type == LORA and self.init in B_IS_ZERO
        return super().ranks if plain else frozenset()

    @property
    def virtual_tokens(self) -> int:
        """Those of prompt tuning, prefix tuning or P-tuning."""
        return virtual_tokens(self.peft_type, self.method_options)

    def variants(self) -> tuple[PeftInjector, ...]:
        """LoRA, and virtual tokens that can be chosen."""
        return (self, PeftInjector(method=TABLE.lower()))

    def preflight(self) -> None:
        """Check the method's options against PEFT's config class, before any weight is read.

        Raises:
            ConfigError: no such method or option, or a value PEFT does not take.
        """
        if self.peft_type == LORA:
            self._check_lora()
        elif self.peft_type in PROMPT_METHODS:
            from lorafw_peft._prompt_config import check_injector

            check_injector(self)
        else:
            from lorafw_peft._configs import check_options

            check_options(self)

    def inject(self, bundle: ModelBundle) -> AdaptedModel:
        """Adapt the bundle's module with PEFT's layers; see `LoRAInjector.inject`."""
        self.preflight()
        if self.peft_type == LORA:
            return self._lora(bundle)
        if self.peft_type in PROMPT_METHODS:
            from lorafw_peft._prompt_model import prompted_model

            return prompted_model(bundle, self)
        from lorafw_peft._tuning import tuned_model

        return tuned_model(bundle, self)

    def _lora(self, bundle: ModelBundle) -> AdaptedModel:
        from lorafw_peft._adapted import PeftAdaptedModel

        spec = self.spec(bundle)
        if spec.embeddings and self.init not in EMBEDDING_STARTS:
            fault = f"{self.init!r} is no start for an embedding, {spec.embeddings[0]}."
            raise AdapterError(fault, where="injector.init", mend="Use kaiming or gaussian.")
        if spec.parameters and self.init != KAIMING:
            fault = f"{self.init!r} is no start for experts that are one tensor."
            raise AdapterError(fault, where="injector.init", mend="Use kaiming.")
        return PeftAdaptedModel(
            bundle,
            spec,
            start=self.init,
            start_rows=self.init_rows,
            lora_plus_ratio=self.lora_plus_ratio,
        )

    def for_spec(self, spec: AdapterSpec) -> Self:
        """These options replaced by those that give `spec`, module for module."""
        if spec.method == LORA:
            plain = self.model_copy(update={"method": "lora", "method_options": {}})
            return super(PeftInjector, plain.model_copy(update={"init": KAIMING})).for_spec(spec)
        options = finished_options(spec.method, spec.options)
        own = {key: value for key, value in options.items() if key not in SET_BY_LORAFW}
        given = {
            "method": spec.method.lower(),
            "method_options": own,
            "modules_to_save": spec.trained,
            "target_modules": spec.targets or options.get("target_modules") or ALL_LINEAR,
        }
        try:
            return self.from_mapping(given, where="adapter")
        except ConfigError as error:
            raise AdapterError(error.what, where=error.where, mend=error.mend) from None

    def _check_lora(self) -> None:
        """LoRA has options of its own here; those of other methods would do nothing."""
        if self.method_options:
            key = min(self.method_options)
            raise ConfigError(
                "method lora takes its options beside it, such as injector.r.",
                where=f"injector.method_options.{key}",
            )
        if self.use_dora and self.init != KAIMING:
            raise ConfigError(
                f"{self.init!r} cannot be combined with use_dora.",
                where="injector.init",
                mend="Leave one of them out.",
            )
