"""Model builders with one fault each."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from lorafw.builtin.auto import Auto
from lorafw.contracts import ModelBundle, ModelRequest
from lorafw.types import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor


class Spoiling(Auto):
    """Builds a model as `auto` does, then spoils it."""

    breaks: ClassVar[tuple[str, ...]] = ()

    def build(self, request: ModelRequest, tokenizer: Tokenizer) -> ModelBundle:
        bundle = super().build(request, tokenizer)
        self.spoil(bundle)
        return bundle

    def spoil(self, bundle: Any) -> None:
        pass


class Swapping(Spoiling):
    """Renames a tensor while writing."""

    breaks = ("native state inverts loading",)

    def native_state(self, name: str, tensor: Tensor) -> Mapping[str, Tensor]:
        return {name: -tensor if "norm" in name else tensor}


class Thawed(Spoiling):
    """Leaves the head trainable."""

    breaks = ("everything is frozen",)

    def spoil(self, bundle: Any) -> None:
        bundle.module.lm_head.weight.requires_grad_()


class Lost(Spoiling):
    """Names a target that is no linear."""

    breaks = ("lora targets are linears of the module",)

    def spoil(self, bundle: Any) -> None:
        bundle.lora_targets = (*bundle.lora_targets, "model.norm")


class Nomadic(Spoiling):
    """Has another identity every time."""

    breaks = ("the identity of the base is stable",)

    def spoil(self, bundle: Any) -> None:
        bundle.base = str(uuid.uuid4())


class Poisoned(Spoiling):
    """Has a weight that is no number."""

    breaks = (
        "logits are finite",
        "native state inverts loading",
        "padding changes no logits",
        "segments change no logits",
        "head weight gives the logits",
    )

    def spoil(self, bundle: Any) -> None:
        bundle.module.lm_head.weight[7, 0] = float("nan")


class Leaking(Spoiling):
    """Rows of a padded batch know of each other."""

    breaks = ("padding changes no logits",)

    def spoil(self, bundle: Any) -> None:
        plain = bundle.hidden

        def hidden(inputs: Mapping[str, Tensor]) -> Any:
            found = plain(inputs)
            if "attention_mask" in inputs and len(found.rows) > 1:
                found.rows.add_(found.rows.mean(0))
            return found

        bundle.hidden = hidden


class Boundless(Spoiling):
    """Attends across the borders of segments."""

    breaks = ("segments change no logits",)

    def spoil(self, bundle: Any) -> None:
        plain = bundle.hidden

        def hidden(inputs: Mapping[str, Tensor]) -> Any:
            if "cu_seqlens" in inputs:
                inputs = {**inputs, "cu_seqlens": inputs["cu_seqlens"][[0, -1]]}
            return plain(inputs)

        bundle.hidden = hidden


class Scaled(Spoiling):
    """Scales its logits, and forgets to say so."""

    breaks = ("head weight gives the logits",)

    def spoil(self, bundle: Any) -> None:
        plain = bundle.logits
        bundle.logits = lambda rows: plain(rows) / 2
