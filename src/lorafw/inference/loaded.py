"""A model that answers: base, adapter if there is one, and the encoder that asks it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Unpack

import torch
from torch import Tensor

from lorafw.adapters.live.folding import FoldedAdapter
from lorafw.data.rendering.context import within_context
from lorafw.errors import UsageError
from lorafw.inference.classify import Texts, probabilities
from lorafw.inference.conversation import Conversation
from lorafw.inference.generation.decoding import BATCH_TOKENS
from lorafw.inference.generation.sampling import Sampling, Wishes
from lorafw.inference.likelihood import Perplexity, RowLoss, counted, perplexity_of, row_losses
from lorafw.inference.prompts import Prompt, encode_prompt, several, uncut
from lorafw.inference.speaking import SpeakingModel, Voice
from lorafw.inference.stopping import forget_decoding_habits, stop_ids
from lorafw.types import Encoded, Example, Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.injector import AdaptedModel
    from lorafw.contracts.model import ModelBundle


TUNED = "adapter"
"""What the one adapter of a loaded model is called where adapters have names."""


class LoadedModel(SpeakingModel):
    """A model ready to be asked, by text or by token ids.

    Args:
        bundle: the base model, on its device.
        encoder: renders a prompt as the rows of training were rendered.
        adapted: the base with its live adapter, if it has one.
        folded: an adapter is part of the weights, so the base alone cannot be asked.

    Attributes:
        encoder: renders prompts, whole however long they are.
        row_encoder: renders rows, cut as the rows of training were.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        encoder: Encoder,
        adapted: AdaptedModel | None = None,
        *,
        folded: bool = False,
    ) -> None:
        self.bundle, self.adapted = bundle, adapted
        self.mixed = False
        self.encoder, self._folded = encoder, folded
        self.row_encoder = within_context(encoder, bundle.tokenizer)
        self._in_place: FoldedAdapter | None = None
        self.stop_ids: tuple[int, ...] = ()
        if bundle.task is Task.CAUSAL_LM:
            self.encoder = uncut(encoder)
            self.stop_ids = stop_ids(bundle, encoder)
            forget_decoding_habits(bundle)

    def generate(self, prompt: Prompt, *, adapter: bool = True, **wishes: Unpack[Wishes]) -> str:
        """The model's answer to a prompt or a conversation, without special tokens.

        Args:
            prompt: one prompt, or the turns so far, the last of them the user's.
            adapter: False asks the base alone.
            wishes: how tokens are chosen and when the answer ends, as in `Sampling`: greedily, 256
                tokens at most, unless something else is asked for.

        Raises:
            UsageError: the prompt is not what the model takes, or fills its context; a wish is out
                of range; or the model is a classifier.
        """
        return "".join(self.stream(prompt, adapter=adapter, **wishes))

    def stream(
        self, prompt: Prompt, *, adapter: bool = True, **wishes: Unpack[Wishes]
    ) -> Iterator[str]:
        """The same answer, piece by piece as it comes.

        Raises:
            UsageError: as for `generate`, before the first piece is asked for.
        """
        return self.pieces(self.begin(prompt, Sampling(**wishes), self._named(adapter)))

    def generate_many(
        self,
        prompts: Sequence[Prompt],
        *,
        adapter: bool = True,
        batch_tokens: int = BATCH_TOKENS,
        **wishes: Unpack[Wishes],
    ) -> list[str]:
        """The answers to several prompts, several at once; each is what it would be alone.

        Args:
            prompts: as for `generate`.
            adapter: False asks the base alone.
            batch_tokens: most tokens, padding included, that are in memory at once.
            wishes: as for `generate`, for every prompt.

        Raises:
            UsageError: as for `generate`, before anything is answered.
        """
        sampling, name = Sampling(**wishes), self._named(adapter)
        answers = [self.begin(prompt, sampling, name) for prompt in several(prompts)]
        for _ in self.grow(answers, batch_tokens=batch_tokens):
            pass
        return [answer.text for answer in answers]

    def chat(
        self, *, system: str = "", adapter: bool = True, **wishes: Unpack[Wishes]
    ) -> Conversation:
        """A conversation that remembers what was said.

        Args:
            system: what the model is told before the first turn.
            adapter: False asks the base alone.
            wishes: as for `generate`, for every turn.
        """
        voice = self._named(adapter)
        self.voice(voice)
        return Conversation(self, Sampling(**wishes), system=system, adapter=voice)

    def classify(self, texts: Texts, *, adapter: bool = True) -> list[dict[str, float]]:
        """A classifier's probability of each class by its name, text by text.

        Args:
            texts: each a text, or a pair of texts; cut as the rows of training were.
            adapter: False asks the base alone, with the head it started from.

        Raises:
            UsageError: a text is empty, or the model is no classifier.
        """
        self._refuse_unless(Task.CLASSIFICATION, "generates text: ask with generate().")
        with self._asked(adapter=adapter):
            return probabilities(self.bundle, self.encoder, texts)

    def perplexity(
        self, texts: str | Example | Sequence[str | Example], *, adapter: bool = True
    ) -> Perplexity:
        """How likely the model finds texts: the loss per token, its exponential, and the tokens.

        Every token of all texts weighs the same, so the figure does not depend on how they are
        batched; of examples it is what training measures of the same rows.

        Args:
            texts: of plain texts every token counts but the first; of examples, rendered and cut
                as the rows of training were, what they teach.
            adapter: False asks the base alone.

        Raises:
            UsageError: nothing counts, a text is longer than the model's context, or the model is
                a classifier.
        """
        several = [texts] if isinstance(texts, str | Example) else list(texts)
        rows = [counted(self.bundle, self.row_encoder, text) for text in several]
        if not rows:
            raise UsageError("there are no texts.")
        return perplexity_of(self.row_losses(rows, adapter=adapter))

    def row_losses(self, rows: Sequence[Encoded], *, adapter: bool = True) -> list[RowLoss]:
        """The loss of each row of token ids, several at once.

        Raises:
            UsageError: the model is a classifier, or the base is asked for and cannot be.
        """
        self._refuse_unless(Task.CAUSAL_LM, "puts texts into classes: ask with classify().")
        with self._asked(adapter=adapter):
            return row_losses(self.bundle, self.row_encoder, rows)

    def merge(self, *, keep_base: bool = True) -> None:
        """Fold the adapter into the weights, in place: answers come faster.

        Args:
            keep_base: keep a copy, on the CPU, of each weight that changes, for `unmerge`.

        Raises:
            AdapterError: the method cannot be merged, or the base is quantised.
            UsageError: there is no adapter, or it is merged already.
        """
        if self.adapted is None or self._in_place is not None:
            what = "no adapter to merge" if self.adapted is None else "an adapter merged already"
            raise UsageError(f"this model has {what}.")
        self._in_place = FoldedAdapter(self.adapted, keep_base=keep_base)

    def unmerge(self) -> None:
        """Take the adapter out of the weights again: the base is as it was, bit for bit.

        Raises:
            AdapterError: the base was not kept.
            UsageError: nothing is merged.
        """
        if self._in_place is None:
            raise UsageError("nothing is merged.")
        self._in_place.unfold()
        self._in_place = None

    def encode(self, prompt: Prompt) -> Encoded:
        """A prompt as the model is given it.

        Raises:
            UsageError: it is a conversation and the model takes single prompts, or it is empty.
        """
        return encode_prompt(self.encoder, self.bundle.tokenizer, prompt)

    def continue_ids(
        self, ids: Sequence[int], *, adapter: bool = True, **wishes: Unpack[Wishes]
    ) -> list[int]:
        """The ids that follow on `ids`, up to and including the one that ends the answer.

        Raises:
            UsageError: a wish is out of range, or `ids` fill the model's context.
        """
        answer = self.begin_ids(ids, Sampling(**wishes), self._named(adapter))
        for _ in self.grow([answer]):
            pass
        return answer.ids

    def voice(self, adapter: str | None) -> Voice:
        """How the model is asked; the base alone reads prompts as the adapter does."""
        self._refuse_unless(Task.CAUSAL_LM, "puts texts into classes: ask with classify().")
        if adapter not in (TUNED, None):
            raise UsageError(f"there is no adapter {adapter!r}.", mend=f"It is called {TUNED}.")
        return Voice(self.encoder, self.stop_ids, self._virtual if adapter else 0)

    def asked(self, adapters: Sequence[str | None]) -> AbstractContextManager[None]:
        """While open, the model answers with its adapter, or all rows without it."""
        return self._asked(adapter=TUNED in adapters)

    def _named(self, adapter: bool) -> str | None:
        return TUNED if adapter else None

    @torch.no_grad()
    def logits(self, ids: Sequence[int], *, adapter: bool = True) -> Tensor:
        """What follows each of `ids`: fp32 logits [len(ids), vocab], on the CPU.

        Of a classifier, the scores of the classes: fp32 [classes].
        """
        tokens = self._tensor(ids)[None]
        with self._asked(adapter=adapter):
            mask = torch.ones_like(tokens)
            rows = self.bundle.hidden({"input_ids": tokens, "attention_mask": mask}).rows[0]
            return self.bundle.logits(rows).float().cpu()

    def _refuse_unless(self, task: Task, what_it_does: str) -> None:
        if self.bundle.task is not task:
            raise UsageError(f"this model {what_it_does}")

    @property
    def _virtual(self) -> int:
        """How many tokens of the adapter's own stand before every prompt."""
        return 0 if self.adapted is None else self.adapted.spec.virtual_tokens

    @property
    def has_base(self) -> bool:
        """Whether there is an adapter, and the base can be asked without it."""
        return self.adapted is not None and self._in_place is None and not self._folded

    def _asked(self, *, adapter: bool) -> AbstractContextManager[None]:
        if adapter:
            return contextlib.nullcontext()
        if self._folded or self._in_place is not None:
            mend = "Call unmerge(), or load the adapter's own folder without adapter_merged."
            raise UsageError("the adapter is part of the weights.", mend=mend)
        return contextlib.nullcontext() if self.adapted is None else self.adapted.disabled()

    def _tensor(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor(list(ids), device=next(self.bundle.module.parameters()).device)
