"""How an export, opened again, differs from the model that was trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from lorafw.certification.precision import TIE
from lorafw.certification.probes import rendered_ids
from lorafw.certification.reading import other_reading
from lorafw.certification.witness import as_rows
from lorafw.errors import ExportError
from lorafw.inference.provenance import tokenizer_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from lorafw.certification.witness import Witness
    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.exporter import Reopened
    from lorafw.types import Tokenizer


class Comparison(BaseModel):
    """What was measured.

    Attributes:
        tool: what opened the export, with its version.
        largest: largest difference of a logit over all probes.
        scale: largest logit of the trained model on them.
        typical: root mean square of all differences, as a share of that of the logits.
        positions: at how many places a likeliest token was compared.
        agreeing: at how many of them it is the same.
        near_ties: at how many it differs where the trained model's two are nearer than 1e-4.
        effect: the most the adapter changes a logit behind a probe; None if it cannot be told.
        kept_effect: the same of the export, against the base alone.
        words: how many tokens the export's tokenizer knows; None if it holds none.
        other_text: the first probe that the tokenizer renders to other ids than training did;
            empty if there is none.
        tied: whether embedding and head are one weight; None if the tool does not tell.
        other_reading: how the export's tokenizer is another one; empty if it is not.
        base_tokenizer: hash of the base's tokenizer, for an export that holds none; else empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: str
    largest: float
    scale: float
    typical: float
    positions: int
    agreeing: int
    near_ties: int
    effect: float | None
    kept_effect: float | None
    words: int | None
    other_text: str
    tied: bool | None
    other_reading: str = ""
    base_tokenizer: str = ""

    @property
    def disagreeing(self) -> int:
        """At how many places the likeliest token differs, near ties apart."""
        return self.positions - self.agreeing - self.near_ties

    @property
    def share(self) -> float:
        """The largest difference as a share of the largest logit."""
        return self.largest / self.scale if self.scale else self.largest


def compare(
    witness: Witness,
    opened: Reopened,
    encoder: Encoder,
    tokenizer: Tokenizer | None,
    *,
    own_template: bool = False,
) -> Comparison:
    """Ask an export what the trained model was asked; one row of logits is in memory at a time.

    Args:
        witness: of the trained model.
        opened: the export.
        encoder: as training had it.
        tokenizer: what its prompts are read with, if it holds none itself.
        own_template: its tokenizer's chat template is meant to be that of training.

    Raises:
        ExportError: its logits are not finite, or of another vocabulary.
    """
    rows = [_row(witness, index, opened) for index in range(len(witness.answers))]
    words: Any = opened.tokenizer
    return Comparison(
        tool=opened.tool,
        largest=max(row["largest"] for row in rows),
        scale=max(float(answer.abs().max()) for answer in witness.answers),
        typical=_typical(rows),
        positions=sum(len(answer) for answer in witness.answers),
        agreeing=sum(row["agreeing"] for row in rows),
        near_ties=sum(row["near_ties"] for row in rows),
        effect=max(map(_effect, witness.answers, witness.alone)) if witness.alone else None,
        kept_effect=max(row["kept_effect"] for row in rows) if witness.alone else None,
        words=None if words is None else len(words),
        other_text=_other_text(witness, encoder, opened.tokenizer or tokenizer),
        tied=opened.tied,
        other_reading=_other_reading(witness, opened, own_template=own_template),
        base_tokenizer="" if opened.tokenizer or not tokenizer else tokenizer_hash(tokenizer),
    )


def _row(witness: Witness, index: int, opened: Reopened) -> dict[str, Any]:
    wanted, found = witness.answers[index], asked(opened, witness.probes.rows[index])
    if found.shape != wanted.shape:
        fault = f"{opened.tool} computes {found.shape[-1]} logits per token with it, the trained "
        raise ExportError(f"{fault}model {wanted.shape[-1]}.")
    ours, theirs = wanted.argmax(-1), found.argmax(-1)
    margins = wanted.max(-1).values - wanted.gather(-1, theirs[:, None])[:, 0]
    same = ours == theirs
    return {
        "largest": float((found - wanted).abs().max()),
        "differences": float((found - wanted).square().sum()),
        "logits": float(wanted.square().sum()),
        "agreeing": int(same.sum()),
        "near_ties": int((~same & (margins < TIE)).sum()),
        "kept_effect": _effect(found, witness.alone[index]) if witness.alone else None,
    }


def _typical(rows: Sequence[Mapping[str, Any]]) -> float:
    differences, logits = (sum(row[name] for row in rows) for name in ("differences", "logits"))
    return float((differences / logits) ** 0.5) if logits else float(differences)


def asked(opened: Reopened, row: tuple[int, ...]) -> Tensor:
    """An export's logits [tokens, vocab], or scores [1, classes], of one row of ids.

    Raises:
        ExportError: they are not finite.
    """
    found = as_rows(opened.logits(row).detach().float().cpu())
    if not found.isfinite().all():
        raise ExportError(f"{opened.tool} computes logits with it that are NaN or infinite.")
    return found


def _effect(logits: Tensor, alone: Tensor) -> float:
    return float((logits[-1] - alone).abs().max())


def _other_reading(witness: Witness, opened: Reopened, *, own_template: bool) -> str:
    ours, theirs = witness.facts.reading, opened.tokenizer
    if ours is None or theirs is None:
        return ""
    return other_reading(ours, theirs, own_template=own_template)


def _other_text(witness: Witness, encoder: Encoder, tokenizer: Tokenizer | None) -> str:
    if tokenizer is None:
        return ""
    return next(other_texts(witness.probes.texts, witness.probes.rendered, encoder, tokenizer), "")


def other_texts(
    texts: tuple[str, ...],
    rendered: tuple[tuple[int, ...], ...],
    encoder: Encoder,
    tokenizer: Tokenizer,
) -> Iterator[str]:
    """The texts that a tokenizer renders to other ids than these."""
    for text, ids in zip(texts, rendered, strict=True):
        if rendered_ids(encoder, tokenizer, text) != ids:
            yield text
