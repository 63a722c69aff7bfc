"""What a family does to its head's output, read from its config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# The one family that multiplies by what Granite and its kin divide by.
_MULTIPLIES = ("hyperclovax",)


@dataclass(frozen=True, slots=True)
class HeadForm:
    """Logits are the head's output times `scale`, then soft-capped to `cap` · tanh(x / `cap`)."""

    scale: float = 1.0
    cap: float | None = None

    @property
    def plain(self) -> bool:
        """Whether the head's output is left as it is."""
        return self.scale == 1.0 and self.cap is None

    def __call__(self, output: Tensor) -> Tensor:
        """The logits, in the shape and dtype of the head's output."""
        if self.scale != 1.0:
            output = output * self.scale
        return output if self.cap is None else torch.tanh(output / self.cap) * self.cap


def head_form(config: Any) -> HeadForm:
    """The form that a transformers config speaks of.

    Knows `final_logit_softcapping` (Gemma), `logit_scale` (Cohere), `lm_head_multiplier`
    (Falcon-H1) and `logits_scaling` (Granite). A family with another rule of its own is found out
    by `lorafw.models.probes.check_head`.
    """
    text = config.get_text_config(decoder=True)
    scale = _number(text, "logit_scale") * _number(text, "lm_head_multiplier")
    scaling = _number(text, "logits_scaling")
    scale *= scaling if text.model_type in _MULTIPLIES else 1.0 / scaling
    return HeadForm(scale, getattr(text, "final_logit_softcapping", None))


def _number(config: Any, name: str) -> float:
    value = getattr(config, name, None)
    return 1.0 if value is None else float(value)
