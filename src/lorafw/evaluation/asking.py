"""What a model does with rows: how likely it finds them, what it answers, which class it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from lorafw.contracts.metric import Classified, Outcome, Predicted, Weighed, Written
from lorafw.errors import UsageError
from lorafw.evaluation.read_rows import Row, prompt_of, source_of
from lorafw.inference.generation.sampling import Sampling
from lorafw.inference.loaded import TUNED
from lorafw.types import (
    ChatExample,
    ChoiceExample,
    Encoded,
    Example,
    LabeledExample,
    PromptExample,
    TextExample,
)

if TYPE_CHECKING:
    from lorafw.inference.generation.answer import Answer
    from lorafw.inference.loaded import LoadedModel

Ticking: TypeAlias = Callable[[Iterable[Any], int, str], Iterator[Any]]
"""`ticking(items, total, doing)`: the items, and a count of them for the user."""

_PORTION = 256
"""Rows whose loss is measured between two counts."""


def silent(items: Iterable[Any], total: int, doing: str) -> Iterator[Any]:
    """A `Ticking` for those who do not look on."""
    del total, doing
    return iter(items)


@dataclass(frozen=True, slots=True)
class Way:
    """How a model is asked.

    Attributes:
        adapter: False asks the base alone.
        sampling: how answers are written.
        ticking: told of the progress.
    """

    adapter: bool = True
    sampling: Sampling = field(default_factory=Sampling)
    ticking: Ticking = silent


def predicted(model: LoadedModel, rows: Sequence[Row], way: Way) -> list[Outcome]:
    """The loss of every row."""
    losses = _losses(model, [row.encoded for row in rows], adapter=way.adapter)
    counted = way.ticking(losses, len(rows), "Measuring")
    return [Predicted(loss.loss, loss.tokens) for loss in counted]


def written(model: LoadedModel, rows: Sequence[Row], way: Way) -> list[Outcome]:
    """The answer to every row."""
    answers = [_begun(model, row, way) for row in rows]
    for _ in way.ticking(model.grow(answers), len(rows), "Answering"):
        pass
    encoder = model.row_encoder
    return [
        Written(encoder.response(row.example), answer.text, source_of(row.example))
        for row, answer in zip(rows, answers, strict=True)
    ]


def weighed(model: LoadedModel, rows: Sequence[Row], way: Way) -> list[Outcome]:
    """The likelihood of every choice of every row, each behind the row's prompt."""
    options = [(row, replace(_choice(row), response=text)) for row in rows for text in _texts(row)]
    encoded = [_option(model, row, example) for row, example in options]
    found = way.ticking(_losses(model, encoded, adapter=way.adapter), len(encoded), "Weighing")
    return [_weighed(row, [next(found) for _ in _texts(row)]) for row in rows]


def classified(model: LoadedModel, rows: Sequence[Row], way: Way) -> list[Outcome]:
    """The probabilities of the classes of every row."""
    examples = [row.example for row in rows]
    labeled = [each for each in examples if isinstance(each, LabeledExample)]
    texts = [(each.text, each.text_pair) if each.text_pair else each.text for each in labeled]
    chances = model.classify(texts, adapter=way.adapter)
    return [
        Classified(each.label, tuple(chance.values()))
        for each, chance in zip(labeled, chances, strict=True)
    ]


Ask: TypeAlias = "Callable[[LoadedModel, Sequence[Row], Way], list[Outcome]]"

ASKED: Mapping[type[Outcome], Ask] = MappingProxyType(
    {Predicted: predicted, Written: written, Weighed: weighed, Classified: classified}
)
"""How a model is asked for each kind of outcome."""

OFFERED: Mapping[type[Outcome], tuple[type[Example], ...]] = MappingProxyType(
    {
        Predicted: (PromptExample, ChatExample, TextExample),
        Written: (PromptExample, ChatExample),
        Weighed: (ChoiceExample,),
        Classified: (LabeledExample,),
    }
)
"""The rows with which a model can do each."""


def _begun(model: LoadedModel, row: Row, way: Way) -> Answer:
    ids, voice = prompt_of(model, row).input_ids, TUNED if way.adapter else None
    try:
        return model.begin_ids(ids, way.sampling, voice)
    except UsageError as error:
        raise UsageError(error.what, where=f"row {row.number}", mend=error.mend) from None


def _losses(model: LoadedModel, rows: Sequence[Encoded], *, adapter: bool) -> Iterator[Any]:
    for start in range(0, len(rows), _PORTION):
        yield from model.row_losses(rows[start : start + _PORTION], adapter=adapter)


def _choice(row: Row) -> ChoiceExample:
    assert isinstance(row.example, ChoiceExample)
    return row.example


def _texts(row: Row) -> tuple[str, ...]:
    return _choice(row).choices


def _option(model: LoadedModel, row: Row, example: ChoiceExample) -> Encoded:
    encoded = model.row_encoder.encode(example, model.bundle.tokenizer)
    if encoded is None:
        raise UsageError(f"choice {example.response!r} has no tokens.", where=f"row {row.number}")
    return encoded


def _weighed(row: Row, losses: Sequence[Any]) -> Weighed:
    texts = _texts(row)
    return Weighed(
        texts.index(_choice(row).response),
        tuple(-loss.loss for loss in losses),
        tuple(loss.tokens for loss in losses),
        tuple(len(text.encode()) for text in texts),
    )
