"""Several adapters by name on one base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import torch

from lorafw.errors import UsageError
from lorafw.inference.adapter_effects import Effect, effects_of
from lorafw.inference.generation.decoding import BATCH_TOKENS
from lorafw.inference.generation.sampling import Sampling, Wishes
from lorafw.inference.prompts import Prompt, several, uncut
from lorafw.inference.request_hooks import RequestHooks
from lorafw.inference.speaking import SpeakingModel, Voice
from lorafw.inference.stopping import forget_decoding_habits, own_stop_ids, stop_ids
from lorafw.types import Task

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor

    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.model import ModelBundle
    from lorafw.types import AdapterState


class AdapterSet(SpeakingModel):
    """LoRA adapters that share one base in memory; each request of a batch names its own.

    Every adapter is asked through the encoder it was trained with, whatever the others use. The
    base's weights are never touched: adapters act on the outputs of its modules.

    Args:
        bundle: a causal language model without any adapter.
        encoder: how the base alone is asked.

    Raises:
        UsageError: the model is a classifier.
    """

    def __init__(self, bundle: ModelBundle, encoder: Encoder) -> None:
        if bundle.task is not Task.CAUSAL_LM:
            raise UsageError("adapters of classifiers are loaded one at a time.")
        self.bundle, self.mixed = bundle, True
        self._own_stops = own_stop_ids(bundle)
        self._hooks = RequestHooks(bundle.module)
        self._voices: dict[str | None, Voice] = {None: self._new_voice(encoder)}
        forget_decoding_habits(bundle)

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters' names, in the order they were added."""
        return tuple(name for name in self._voices if name is not None)

    def add(self, name: str, state: AdapterState, encoder: Encoder) -> None:
        """Add an adapter, or put another in the place of the one of this name.

        Args:
            name: what requests call it.
            state: the adapter; LoRA, rsLoRA or DoRA.
            encoder: how it is asked: the one it was trained with.

        Raises:
            AdapterError: it is of another method, or does not fit the base; nothing has changed.
        """
        effects: dict[str, list[Effect]] = {}
        for module, effect in effects_of(state, self.bundle.module):
            effects.setdefault(module, []).append(effect)
        self._hooks.remove(name)
        self._hooks.add(name, effects)
        self._voices[name] = self._new_voice(encoder)

    def remove(self, name: str) -> None:
        """Forget an adapter.

        Raises:
            UsageError: there is none of this name.
        """
        self._check((name,))
        self._hooks.remove(name)
        del self._voices[name]

    def generate(
        self,
        prompts: Sequence[Prompt],
        adapters: str | Sequence[str | None] | None,
        *,
        batch_tokens: int = BATCH_TOKENS,
        **wishes: Unpack[Wishes],
    ) -> list[str]:
        """Answers to several prompts or conversations, without special tokens.

        Args:
            prompts: what is asked.
            adapters: who answers: one name for all, or one for each prompt; None is the base.
            batch_tokens: most tokens, padding included, that are in memory at once.
            wishes: how tokens are chosen and when an answer ends, as in `Sampling`; the same seed
                gives a prompt the same answer in any company.

        Raises:
            UsageError: there is no adapter of a name, a prompt is not what the model takes, or it
                fills its context.
            AdapterError: the base has experts, whose requests cannot be told apart.
        """
        names, sampling = self._each(adapters, len(prompts)), Sampling(**wishes)
        asked = zip(several(prompts), names, strict=True)
        answers = [self.begin(prompt, sampling, name) for prompt, name in asked]
        for _ in self.grow(answers, batch_tokens=batch_tokens):
            pass
        return [answer.text for answer in answers]

    def voice(self, adapter: str | None) -> Voice:
        """How an adapter, or the base, is asked.

        Raises:
            UsageError: there is none of this name.
        """
        self._check((adapter,))
        return self._voices[adapter]

    def asked(self, adapters: Sequence[str | None]) -> AbstractContextManager[None]:
        """While open, row i of a batch is answered by `adapters[i]`; None is the base."""
        return self._hooks.asked(adapters)

    @torch.no_grad()
    def logits(
        self, rows: Sequence[Sequence[int]], adapters: str | Sequence[str | None] | None
    ) -> list[Tensor]:
        """What follows each id of several rows: fp32 logits [len(row), vocab] each, on the CPU.

        Raises:
            UsageError: there is no adapter of a name.
            AdapterError: the base has experts, whose requests cannot be told apart.
        """
        inputs = self._padded(rows)
        with self._hooks.asked(self._each(adapters, len(rows))):
            logits = self.bundle.logits(self.bundle.hidden(inputs).rows)
        return [found[: len(row)].float().cpu() for found, row in zip(logits, rows, strict=True)]

    def _new_voice(self, encoder: Encoder) -> Voice:
        return Voice(uncut(encoder), stop_ids(self.bundle, encoder, self._own_stops))

    def _each(self, adapters: str | Sequence[str | None] | None, count: int) -> list[str | None]:
        single = adapters is None or isinstance(adapters, str)
        names: list[str | None] = [adapters] * count if single else list(adapters)  # type: ignore[list-item, arg-type]
        if len(names) != count:
            raise UsageError(f"{len(names)} adapters are named for {count} requests.")
        self._check(names)
        return names

    def _check(self, names: Sequence[str | None]) -> None:
        for name in names:
            if name not in self._voices:
                there = ", ".join(self.names) or "none"
                raise UsageError(f"there is no adapter {name!r}.", mend=f"There are: {there}.")

    def _padded(self, rows: Sequence[Sequence[int]]) -> Mapping[str, Tensor]:
        """Rows filled up on the right, as in a batch of training."""
        length = max(map(len, rows))
        device: Any = next(self.bundle.module.parameters()).device
        ids = [[*row, *[self.bundle.pad_id] * (length - len(row))] for row in rows]
        mask = [[1] * len(row) + [0] * (length - len(row)) for row in rows]
        tensors = {"input_ids": ids, "attention_mask": mask}
        return {name: torch.tensor(values, device=device) for name, values in tensors.items()}
