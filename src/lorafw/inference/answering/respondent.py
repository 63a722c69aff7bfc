"""Who answers rows: a model that speaks, or one that puts texts into classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from lorafw.errors import UsageError
from lorafw.inference.prompts import takes_conversations, with_system
from lorafw.types import LabeledExample, Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lorafw.data.rows.questions import Question
    from lorafw.inference.generation.answer import Answer
    from lorafw.inference.generation.sampling import Sampling
    from lorafw.inference.loaded import LoadedModel

WINDOW_BATCHES = 8
"""How many batches' tokens are looked at together, so that few rows wait for the last."""


class Sized(Protocol):
    """What takes up so many tokens."""

    @property
    def size(self) -> int:
        """Most tokens that it comes to."""


T = TypeVar("T", bound=Sized)


class Respondent(ABC, Generic[T]):
    """Takes questions in, and answers several of them together.

    Attributes:
        window: most tokens of the questions that are answered together.
    """

    window: int

    @abstractmethod
    def take(self, question: Question) -> T:
        """The question as the model will read it.

        Raises:
            UsageError: it cannot be asked.
        """

    @abstractmethod
    def answer(self, taken: Sequence[T]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Index and found fields of each, in the order they are found.

        What is found depends on what is taken together, and on nothing before it.
        """


class Speaker(Respondent["Answer"]):
    """Writes answers.

    Args:
        model: a causal language model.
        sampling: how tokens are chosen; every row draws from the same seed.
        adapter: who answers; None is the base.
        system: what conversations that bring no system words are told first; empty for nothing.
        batch_tokens: most tokens, padding included, in one batch.

    Raises:
        UsageError: the model is a classifier, or takes no system words.
    """

    def __init__(
        self,
        model: LoadedModel,
        sampling: Sampling,
        adapter: str | None,
        *,
        system: str = "",
        batch_tokens: int,
    ) -> None:
        if system and not takes_conversations(model.voice(adapter).encoder):
            raise UsageError("this model takes single prompts, without system words.")
        self._model, self._sampling, self._adapter = model, sampling, adapter
        self._system, self._batch_tokens = system, batch_tokens
        self.window = WINDOW_BATCHES * batch_tokens

    def take(self, question: Question) -> Answer:
        """An answer without tokens yet."""
        prompt = with_system(question.example, self._system)
        return self._model.begin(prompt, self._sampling, self._adapter)

    def answer(self, taken: Sequence[Answer]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Text, why it ended, and counts of tokens, each as soon as it is done."""
        places = {id(answer): at for at, answer in enumerate(taken)}
        for answer in self._model.grow(taken, batch_tokens=self._batch_tokens):
            yield places[id(answer)], spoken(answer)


def spoken(answer: Answer) -> dict[str, Any]:
    """What there is to tell of an answer that has ended."""
    return {
        "answer": answer.text,
        "finish_reason": answer.end,
        "prompt_tokens": len(answer.prompt),
        "completion_tokens": len(answer.ids),
    }


@dataclass(frozen=True, slots=True)
class TakenText:
    """A text, or a pair of texts, and how many tokens of it the model reads."""

    texts: str | tuple[str, str]
    size: int


class Sorter(Respondent[TakenText]):
    """Puts texts into classes.

    Args:
        model: a classifier.
        adapter: False asks the base alone, with the head it started from.
        batch_tokens: of this many and WINDOW_BATCHES times as many texts are sorted together.

    Raises:
        UsageError: the model generates text.
    """

    def __init__(self, model: LoadedModel, *, adapter: bool, batch_tokens: int) -> None:
        if model.bundle.task is not Task.CLASSIFICATION:
            raise UsageError("this model generates text, it puts nothing into classes.")
        self._model, self._adapter = model, adapter
        self.window = WINDOW_BATCHES * batch_tokens

    def take(self, question: Question) -> TakenText:
        """The texts of the row, cut as the rows of training were."""
        example = question.example
        assert isinstance(example, LabeledExample)
        pair = example.text_pair
        ids = self._model.encoder.prompt(example, self._model.bundle.tokenizer).input_ids
        return TakenText(example.text if pair is None else (example.text, pair), len(ids))

    def answer(self, taken: Sequence[TakenText]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The likeliest class, and the probability of each."""
        chances = self._model.classify([each.texts for each in taken], adapter=self._adapter)
        for at, (found, text) in enumerate(zip(chances, taken, strict=True)):
            label = max(found, key=found.__getitem__)
            yield at, {"label": label, "probabilities": found, "prompt_tokens": text.size}
