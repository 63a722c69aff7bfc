"""The starts of LoRA's factors that are on offer, without importing torch."""

from __future__ import annotations

import re

KAIMING = "kaiming"
"""LoRA's own start: A Kaiming-uniform, B zero."""

EMBEDDING_STARTS = frozenset({KAIMING, "gaussian"})
"""Those that make sense for a table whose rows are looked up, not multiplied."""

_OFFERED = re.compile(r"kaiming|gaussian|orthogonal|olora|pissa(_niter_[1-9]\d*)?")

_NEEDS_ROWS = "needs the model's activations or gradients on rows of data, which are not at hand \
when an adapter is put in"

_NOT_OFFERED = {
    "eva": _NEEDS_ROWS,
    "corda": _NEEDS_ROWS,
    "lora_ga": _NEEDS_ROWS,
    "loftq": "needs the weights as they were before quantisation, beside the quantised ones",
}

_INSTEAD = "use one of kaiming, gaussian, orthogonal, olora, pissa, pissa_niter_N"


def check_start(start: str) -> str:
    """The name in lower case.

    Raises:
        ValueError: it is not on offer; the message says why, and what is.
    """
    name = start.lower()
    if not _OFFERED.fullmatch(name):
        reason = _NOT_OFFERED.get(name, "is not known")
        raise ValueError(f"{reason}; {_INSTEAD}")
    return name


def moves_output(start: str) -> bool:
    """Whether B·A is not zero at this start, so that it must be subtracted again."""
    return start.startswith(("pissa", "olora"))
