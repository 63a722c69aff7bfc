"""The starts of LoRA's factors that are on offer, without importing torch."""

from __future__ import annotations

import re

KAIMING = "kaiming"
"""LoRA's own start: A Kaiming-uniform, B zero."""

LOFTQ = "loftq"
"""The start that makes up for what quantisation lost."""

ROW_STARTS = frozenset({"corda", "corda_kpm", "eva", "lora_ga"})
"""Those that rows of data decide; until these are seen they are LoRA's own."""

EMBEDDING_STARTS = frozenset({KAIMING, "gaussian"})
"""Those that make sense for a table whose rows are looked up, not multiplied."""

B_IS_ZERO = EMBEDDING_STARTS
"""Those of which every rank is as the options say, and B is 0."""

RANDOM_STARTS = frozenset({"gaussian", "orthogonal"})
"""Those that follow from the seed; what the others find in a weight does not."""

_OFFERED = re.compile(
    r"kaiming|gaussian|orthogonal|olora|pissa(_niter_[1-9]\d*)?|eva|corda(_kpm)?|lora_ga|loftq"
)

_INSTEAD = "use one of kaiming, gaussian, orthogonal, olora, pissa, pissa_niter_N, eva, corda, \
corda_kpm, lora_ga, loftq"


def check_start(start: str) -> str:
    """The name in lower case.

    Raises:
        ValueError: it is not on offer; the message says what is.
    """
    name = start.lower()
    if not _OFFERED.fullmatch(name):
        raise ValueError(f"is not known; {_INSTEAD}")
    return name


def moves_output(start: str) -> bool:
    """Whether B·A is not zero at this start, so that it must be subtracted again."""
    return start.startswith(("pissa", "olora", "corda", "lora_ga"))


def keeps_function(start: str) -> bool:
    """Whether a fresh adapter leaves the output as it is; LoftQ mends it instead."""
    return start != LOFTQ
