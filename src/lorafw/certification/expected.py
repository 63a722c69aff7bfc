"""What the trained model answers, as much of it as a certificate keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from lorafw.certification.probes import Probes
from lorafw.certification.witness import Facts

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw.certification.witness import Witness

_SAMPLED = 16


class ExpectedRow(BaseModel):
    """The answers to one row of a certificate's probes.

    Attributes:
        top: the likeliest token behind each id; of a classifier, the likeliest class.
        tokens: those whose logits behind the last id are kept; of a classifier, all classes.
        logits: these, fp32 to seven digits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    top: tuple[int, ...]
    tokens: tuple[int, ...]
    logits: tuple[float, ...]


class Expected(BaseModel):
    """What to ask an export, and what the trained model answered.

    Attributes:
        probes: what is asked.
        facts: what the trained model is.
        rows: its answers to `probes.rows`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    probes: Probes
    facts: Facts
    rows: tuple[ExpectedRow, ...]


def expected_of(witness: Witness) -> Expected:
    """What is kept of a witness."""
    rows = tuple(_row(answer) for answer in witness.answers)
    return Expected(probes=witness.probes, facts=witness.facts, rows=rows)


def _row(answer: Tensor) -> ExpectedRow:
    size, last = answer.shape[-1], answer[-1]
    evenly = {index * size // _SAMPLED for index in range(_SAMPLED)}
    tokens = tuple(sorted(evenly | {int(last.argmax())}))
    logits = tuple(float(f"{value:.7g}") for value in last[list(tokens)].tolist())
    return ExpectedRow(top=tuple(answer.argmax(-1).tolist()), tokens=tokens, logits=logits)
