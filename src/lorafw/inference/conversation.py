"""A conversation with a model: what was said so far, and what is said next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.inference.prompts import takes_conversations
from lorafw.types import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorafw.inference.generation.sampling import Sampling
    from lorafw.inference.speaking import SpeakingModel


class Conversation:
    """Turns between a user and a model; only whole exchanges are remembered.

    Args:
        model: who answers.
        sampling: how; every answer draws from the same seed.
        system: what the model is told before the first turn; empty for nothing.
        adapter: whose voice it answers in; may be set to another between two turns.

    Attributes:
        turns: what was said, without the system's words.
    """

    def __init__(
        self,
        model: SpeakingModel,
        sampling: Sampling,
        *,
        system: str = "",
        adapter: str | None = None,
    ) -> None:
        self._model, self._sampling = model, sampling
        self.system, self.adapter = system, adapter
        self.turns: list[Message] = []

    @property
    def remembers(self) -> bool:
        """Whether the model takes what was said before; else it takes one prompt at a time."""
        return takes_conversations(self._model.voice(self.adapter).encoder)

    def say(self, text: str) -> str:
        """The model's answer to a user's next words.

        Raises:
            UsageError: the model takes single prompts and this is not the first, or the
                conversation fills its context; what was said is as before.
        """
        return "".join(self.stream(text))

    def stream(self, text: str) -> Iterator[str]:
        """The same, piece by piece; remembered once the last piece was taken."""
        turns = [*self.turns, Message("user", text)]
        system = [Message("system", self.system)] if self.system else []
        answer = self._model.begin([*system, *turns], self._sampling, self.adapter)
        yield from self._model.pieces(answer)
        self.turns = [*turns, Message("assistant", answer.text)]

    def reset(self) -> None:
        """Forget what was said; the system's words stay."""
        self.turns = []
