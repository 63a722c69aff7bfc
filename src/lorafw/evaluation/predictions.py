"""Every row by itself: what was asked, what was wanted, and what each model did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lorafw.contracts.metric import Classified, Metric, Outcome, Weighed, Written
from lorafw.evaluation.read_rows import Row, prompt_of
from lorafw.types import ChoiceExample, LabeledExample, TextExample

if TYPE_CHECKING:
    from lorafw.inference.loaded import LoadedModel

_DIGITS = 6


def predictions(
    model: LoadedModel,
    rows: Sequence[Row],
    metrics: Mapping[str, Metric],
    found: Mapping[str, Mapping[type[Outcome], Sequence[Outcome]]],
) -> list[dict[str, Any]]:
    """One record for each row, as JSON values.

    Args:
        model: what was asked.
        rows: what it was asked.
        metrics: what was measured; a row's scores are their figures of it alone.
        found: by the name of each model, what it did.
    """
    return [
        {
            "row": row.number,
            **_asked(model, row),
            **{
                who: {
                    **_done(model, [outcomes[at] for outcomes in did.values()]),
                    "scores": _scores(metrics, {k: each[at] for k, each in did.items()}),
                }
                for who, did in found.items()
            },
        }
        for at, row in enumerate(rows)
    ]


def _asked(model: LoadedModel, row: Row) -> dict[str, Any]:
    example, decode = row.example, model.bundle.tokenizer.decode
    if isinstance(example, LabeledExample):
        pair = {} if example.text_pair is None else {"text_pair": example.text_pair}
        return {"text": example.text, **pair, "label": model.bundle.labels[example.label]}
    if isinstance(example, TextExample):
        return {"text": decode(row.encoded.input_ids)}
    asked: dict[str, Any] = {
        "prompt": decode(prompt_of(model, row).input_ids),
        "reference": model.row_encoder.response(example),
    }
    if isinstance(example, ChoiceExample):
        asked["choices"] = list(example.choices)
    return asked


def _done(model: LoadedModel, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    done: dict[str, Any] = {}
    for outcome in outcomes:
        match outcome:
            case Written():
                done["answer"] = outcome.answer
            case Weighed():
                done["log_likelihoods"] = _rounded(outcome.log_likelihoods)
            case Classified():
                chances = dict(zip(model.bundle.labels, outcome.probabilities, strict=True))
                done["label"] = max(chances, key=lambda name: chances[name])
                done["probabilities"] = {name: round(p, _DIGITS) for name, p in chances.items()}
    return done


def _scores(
    metrics: Mapping[str, Metric], did: Mapping[type[Outcome], Outcome]
) -> dict[str, float]:
    """The figures of one row; those of a classifier need more than one."""
    scores: dict[str, float] = {}
    for metric in metrics.values():
        if metric.reads is not Classified:
            found = metric.summarise(metric.measure(did[metric.reads]))
            scores |= dict(zip(found, _rounded(tuple(found.values())), strict=True))
    return scores


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, _DIGITS) for value in values]
