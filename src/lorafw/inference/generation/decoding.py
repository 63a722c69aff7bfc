"""Several answers growing at once, each in its own time."""

from __future__ import annotations

from collections import deque
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from lorafw.inference.generation.live_batch import LiveBatch
from lorafw.inference.generation.room import BATCH_TOKENS
from lorafw.models.loading import quiet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from lorafw.contracts.model import ModelBundle
    from lorafw.inference.generation.answer import Answer

__all__ = ["BATCH_TOKENS", "Decoding", "Speakers"]


class Speakers(Protocol):
    """A model and who can speak through it.

    Attributes:
        bundle: the model.
        mixed: rows of one batch may be answered by different adapters.
    """

    bundle: ModelBundle
    mixed: bool

    def asked(self, adapters: Sequence[str | None]) -> AbstractContextManager[None]:
        """While open, row i of a batch is answered by `adapters[i]`."""
        ...


class Decoding:
    """Lets answers grow together; any may be added, or given up, between two steps.

    An answer's tokens do not depend on its company: rows are apart in the model, and each draws
    from a generator of its own. Not for several threads at once.

    Args:
        speakers: the model and its adapters.
        batch_tokens: most tokens that the rows of the batch may come to, padding included; an
            answer that is larger by itself is given a batch of its own.
    """

    def __init__(self, speakers: Speakers, *, batch_tokens: int = BATCH_TOKENS) -> None:
        self._speakers, self._batch_tokens = speakers, batch_tokens
        self._batch = LiveBatch(speakers.bundle)
        self._waiting: deque[Answer] = deque()
        self._growing: list[Answer] = []

    @property
    def waiting(self) -> int:
        """How many answers have not begun."""
        return len(self._waiting)

    @property
    def growing(self) -> int:
        """How many answers are being continued."""
        return len(self._growing)

    def add(self, answer: Answer) -> None:
        """Let an answer begin as soon as there is room; they begin in this order."""
        self._waiting.append(answer)

    def give_up(self, answer: Answer) -> None:
        """Forget an answer, begun or not."""
        if answer in self._waiting:
            self._waiting.remove(answer)
        self._keep([other for other in self._growing if other is not answer])

    def clear(self) -> list[Answer]:
        """Forget all answers, as after an error in the midst of a step.

        Returns:
            Those that had not been taken into the batch.
        """
        untouched = list(self._waiting)
        self._waiting.clear()
        self._growing = []
        self._batch = LiveBatch(self._speakers.bundle)
        return untouched

    def advance(self) -> list[Answer]:
        """Give every answer one more token, those that begin now their first.

        Returns:
            The answers that grew; those that ended are forgotten. Empty if there are none at all.
        """
        with quiet():
            grown = self._continue() + self._begin()
        self._keep([answer for answer in self._growing if answer.end is None])
        return grown

    def _continue(self) -> list[Answer]:
        grown = list(self._growing)
        if grown:
            with self._speakers.asked([answer.adapter for answer in grown]):
                logits = self._batch.step([answer.ids[-1] for answer in grown])
            _take(grown, logits)
        return grown

    def _begin(self) -> list[Answer]:
        """Take in those that there is room for; all at once, when rows may be joined."""
        begun: list[Answer] = []
        while self._waiting and self._has_room([*self._growing, *begun], self._waiting[0]):
            begun.append(self._waiting.popleft())
            if self._batch.alone is not False:
                break
        if begun:
            with self._speakers.asked([answer.adapter for answer in begun]):
                logits = self._batch.join([answer.prompt for answer in begun])
            self._growing += begun
            _take(begun, logits)
        return begun

    def _has_room(self, present: Sequence[Answer], newcomer: Answer) -> bool:
        if not present:
            return True
        if self._batch.alone is not False:
            return False
        if not self._speakers.mixed and present[0].adapter != newcomer.adapter:
            return False
        longest = max(answer.size for answer in (*present, newcomer))
        return (len(present) + 1) * longest <= self._batch_tokens

    def _keep(self, answers: Sequence[Answer]) -> None:
        kept = {id(answer) for answer in answers}
        self._batch.keep([at for at, answer in enumerate(self._growing) if id(answer) in kept])
        self._growing = list(answers)


def _take(answers: Sequence[Answer], logits: Tensor) -> None:
    """Choose every answer's next token; those that want the likeliest are looked at together."""
    likeliest = logits.argmax(-1).tolist()
    for answer, scores, greedy in zip(answers, logits, likeliest, strict=True):
        answer.take(greedy if answer.sampling.plain else answer.choose(scores), scores)
