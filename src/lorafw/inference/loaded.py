"""A model that answers: base, adapter if there is one, and the encoder that asks it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lorafw.errors import UsageError
from lorafw.inference.classify import Texts, probabilities
from lorafw.inference.stopping import stop_ids
from lorafw.models.loading import quiet
from lorafw.types import ChatExample, Encoded, Example, Message, PromptExample, Task, TextExample

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
        self.stop_ids: tuple[int, ...] = ()
        if bundle.task is Task.CAUSAL_LM:
            # Rows of training were cut to a length; a prompt is not, it fits or is an error.
            whole = {"max_length": 2**31, "max_prompt_length": None}
            self.encoder = encoder.model_copy(update=whole)
            self.stop_ids = stop_ids(bundle, encoder)
            self._forget_decoding_habits()

    def generate(
        self,
        prompt: str | Sequence[Message],
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

    def encode(self, prompt: str | Sequence[Message]) -> Encoded:
        """A prompt as the model is given it.

        Raises:
            UsageError: it is a conversation and the model takes single prompts, or it is empty.
        """
        messages = (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)
        if not messages:
            raise UsageError("the conversation is empty.")
        if ChatExample in self.encoder.accepts:
            example: Example = ChatExample(messages)
        elif len(messages) == 1 and TextExample in self.encoder.accepts:
            example = TextExample(messages[0].content)
        elif len(messages) == 1:
            example = PromptExample(messages[0].content, "")
        else:
            mend = "Ask with one text, or use a model with a chat template."
            raise UsageError("this model takes single prompts, not conversations.", mend=mend)
        return self.encoder.prompt(example, self.bundle.tokenizer)

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
        if temperature < 0 or not 0 < top_p <= 1 or max_new_tokens < 1:
            raise UsageError("needed: temperature >= 0, 0 < top_p <= 1, max_new_tokens >= 1.")
        tokens = self._tensor(ids)[None]
        model: Any = self.bundle.module
        draws: dict[str, Any] = {"do_sample": False}
        if temperature > 0:
            draws = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0}
        with self._asked(adapter=adapter), _seeded(seed, tokens.device), quiet():
            output = model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=min(max_new_tokens, self._room(len(ids))),
                eos_token_id=list(self.stop_ids) or None,
                pad_token_id=self.bundle.pad_id,
                **draws,
            )
        new_ids: list[int] = output[0, len(ids) :].tolist()
        return new_ids

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
        if self._folded:
            mend = "Load the adapter's own folder, without adapter_merged."
            raise UsageError("the adapter is part of the weights.", mend=mend)
        return contextlib.nullcontext() if self.adapted is None else self.adapted.disabled()

    def _tensor(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor(list(ids), device=next(self.bundle.module.parameters()).device)

    def _room(self, used: int) -> int:
        """How many more tokens the model has positions for."""
        model: Any = self.bundle.module
        config = model.config.get_text_config(decoder=True)
        positions = getattr(config, "max_position_embeddings", None) or 2**31
        if used == 0:
            raise UsageError("the prompt is empty.")
        if used >= positions:
            fault = f"the prompt has {used} tokens, the model's context is {positions}."
            raise UsageError(fault, mend="Shorten the prompt.")
        return int(positions) - used

    def _forget_decoding_habits(self) -> None:
        """Drop penalties and the like that the model's files ask for: what is asked is done."""
        from transformers import GenerationConfig

        model: Any = self.bundle.module
        model.generation_config = GenerationConfig()


@contextlib.contextmanager
def _seeded(seed: int, device: torch.device) -> Any:
    """Seed torch's generators for a while."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
