"""A model that answers: base, adapter if there is one, and the encoder that asks it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lorafw.adapters.live.folding import FoldedAdapter
from lorafw.errors import UsageError
from lorafw.inference.classify import Texts, probabilities
from lorafw.inference.continuation import Sampling, continue_rows
from lorafw.inference.prompts import Prompt, encode_prompt, uncut
from lorafw.inference.stopping import forget_decoding_habits, stop_ids
from lorafw.types import Encoded, Task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.injector import AdaptedModel
    from lorafw.contracts.model import ModelBundle


class LoadedModel:
    """A model ready to be asked, by text or by token ids.

    Args:
        bundle: the base model, on its device.
        encoder: renders a prompt as the rows of training were rendered.
        adapted: the base with its live adapter, if it has one.
        folded: an adapter is part of the weights, so the base alone cannot be asked.
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
        self.encoder, self._folded = encoder, folded
        self._in_place: FoldedAdapter | None = None
        self.stop_ids: tuple[int, ...] = ()
        if bundle.task is Task.CAUSAL_LM:
            self.encoder = uncut(encoder)
            self.stop_ids = stop_ids(bundle, encoder)
            forget_decoding_habits(bundle)

    def generate(
        self,
        prompt: Prompt,
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        adapter: bool = True,
    ) -> str:
        """The model's answer to a prompt or a conversation, without special tokens.

        Args:
            prompt: one prompt, or the turns so far, the last of them the user's.
            max_new_tokens: most tokens of the answer.
            temperature: 0 takes the likeliest token each time; above it, tokens are drawn.
            top_p: draw from the likeliest tokens that together have this probability.
            seed: of the draws; the same seed gives the same answer.
            adapter: False asks the base alone.

        Raises:
            UsageError: the prompt is not what the model takes, or fills its context; or the model
                is a classifier.
        """
        self._refuse_unless(Task.CAUSAL_LM, "puts texts into classes: ask with classify().")
        new_ids = self.continue_ids(
            self.encode(prompt).input_ids,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            adapter=adapter,
        )
        return self.bundle.tokenizer.decode(new_ids, skip_special_tokens=True)

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
        self,
        ids: Sequence[int],
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        adapter: bool = True,
    ) -> list[int]:
        """The ids that follow on `ids`, up to and including the one that ends the answer.

        Raises:
            UsageError: a value is out of range, or `ids` fill the model's context.
        """
        sampling = Sampling(max_new_tokens, temperature, top_p, seed)
        with self._asked(adapter=adapter):
            return continue_rows(self.bundle, [ids], [self.stop_ids], sampling)[0]

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

    def _asked(self, *, adapter: bool) -> AbstractContextManager[None]:
        if adapter:
            return contextlib.nullcontext()
        if self._folded or self._in_place is not None:
            mend = "Call unmerge(), or load the adapter's own folder without adapter_merged."
            raise UsageError("the adapter is part of the weights.", mend=mend)
        return contextlib.nullcontext() if self.adapted is None else self.adapted.disabled()

    def _tensor(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor(list(ids), device=next(self.bundle.module.parameters()).device)
