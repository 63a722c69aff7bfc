"""What every model that answers has in common, with one adapter or several."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorafw.inference.generation.answer import Answer
from lorafw.inference.generation.decoding import BATCH_TOKENS, Decoding
from lorafw.inference.generation.room import refuse_unknown, room_behind
from lorafw.inference.prompts import Prompt, encode_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.model import ModelBundle
    from lorafw.inference.generation.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Voice:
    """How a model is asked with one adapter, or with none, and where its answers end.

    Attributes:
        encoder: renders a prompt as the rows of training were rendered.
        stops: ids that end an answer.
        virtual: how many tokens of the adapter's own stand before every prompt.
    """

    encoder: Encoder
    stops: tuple[int, ...]
    virtual: int = 0


class SpeakingModel(ABC):
    """A causal language model that answers; who answers is said by an adapter's name.

    Attributes:
        bundle: the model.
        mixed: rows of one batch may be answered by different adapters.
    """

    bundle: ModelBundle
    mixed: bool

    @abstractmethod
    def asked(self, adapters: Sequence[str | None]) -> AbstractContextManager[None]:
        """While open, row i of a batch is answered by `adapters[i]`; None is no adapter."""

    @abstractmethod
    def voice(self, adapter: str | None) -> Voice:
        """How an adapter, or the model without any, is asked.

        Raises:
            UsageError: there is none of this name, or the model is no causal language model.
        """

    def begin(self, prompt: Prompt, sampling: Sampling, adapter: str | None) -> Answer:
        """An answer without tokens yet, for a `Decoding` to continue.

        Raises:
            UsageError: the prompt is not what the model takes, or fills its context.
        """
        encoder = self.voice(adapter).encoder
        ids = encode_prompt(encoder, self.bundle.tokenizer, prompt).input_ids
        return self.begin_ids(ids, sampling, adapter)

    def begin_ids(self, ids: Sequence[int], sampling: Sampling, adapter: str | None) -> Answer:
        """The same, from token ids.

        Raises:
            UsageError: there are none, they fill the model's context, or the model has no token of
                one of them, or of one that is biased.
        """
        refuse_unknown(self.bundle, ids)
        refuse_unknown(self.bundle, sampling.bias.keys())
        voice, tokenizer = self.voice(adapter), self.bundle.tokenizer
        room = room_behind(self.bundle, len(ids), voice.virtual)
        return Answer(ids, voice.stops, sampling, tokenizer, room=room, adapter=adapter)

    def grow(
        self, answers: Sequence[Answer], *, batch_tokens: int = BATCH_TOKENS
    ) -> Iterator[Answer]:
        """Continue answers to their ends, as many at once as there is room for.

        Long ones go first, so that those in a batch are of like length. Yields each answer when it
        has ended.

        Args:
            answers: those to continue.
            batch_tokens: most tokens, padding included, in one batch.
        """
        decoding = Decoding(self, batch_tokens=batch_tokens)
        for answer in sorted(answers, key=lambda answer: -answer.size):
            decoding.add(answer)
        while grown := decoding.advance():
            yield from (answer for answer in grown if answer.end is not None)

    def pieces(self, answer: Answer) -> Iterator[str]:
        """Continue one answer, and give its text piece by piece as it comes."""
        decoding = Decoding(self)
        decoding.add(answer)
        while decoding.advance():
            if piece := answer.piece():
                yield piece
