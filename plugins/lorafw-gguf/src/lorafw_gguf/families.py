"""Which models llama.cpp knows under which name, and how it wants their rotary rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorafw.errors import ExportError
from lorafw.types import Task

if TYPE_CHECKING:
    from lorafw.contracts.model import ModelBundle


@dataclass(frozen=True, slots=True)
class Family:
    """One family of models.

    Attributes:
        model_type: what transformers calls it.
        architecture: what llama.cpp calls it (`general.architecture`).
        interleaved: llama.cpp rotates neighbouring rows of queries and keys, where transformers
            rotates row i with row i + half; the rows are put in llama.cpp's order.
    """

    model_type: str
    architecture: str
    interleaved: bool


FAMILIES = {
    family.model_type: family
    for family in (
        Family("llama", "llama", interleaved=True),
        Family("mistral", "llama", interleaved=True),
        Family("qwen2", "qwen2", interleaved=False),
        Family("qwen3", "qwen3", interleaved=False),
    )
}
"""By transformers' `model_type`. Llama and Mistral are one architecture to llama.cpp."""


def family_of(bundle: ModelBundle) -> Family:
    """The family of a model.

    Raises:
        ExportError: llama.cpp's format of it is not known here, or it is a classifier.
    """
    if bundle.task is not Task.CAUSAL_LM:
        fault = "a classifier has no place in a GGUF file."
        raise ExportError(fault, mend="Use exporter adapter or merged.")
    module: Any = bundle.module
    kind = getattr(getattr(module, "config", None), "model_type", type(module).__name__)
    if kind not in FAMILIES:
        raise ExportError(
            f"the base is a model of type '{kind}'; GGUF is written of {', '.join(FAMILIES)}.",
            mend="Use exporter merged, and llama.cpp's own convert_hf_to_gguf.py on its folder.",
        )
    return FAMILIES[kind]
