"""From what a request wishes to answers that can be grown."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, TypeVar

from lorafw.data.rendering.tokens import opening_ids, text_ids
from lorafw.errors import LorafwError
from lorafw.inference.generation.room import context_length, vocabulary_size
from lorafw.inference.generation.sampling import Sampling
from lorafw.inference.prompts import encode_prompt
from lorafw.serving.job import Job
from lorafw.serving.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lorafw.inference.generation.answer import Answer
    from lorafw.serving.catalogue import Catalogue
    from lorafw.serving.chat_request import ChatRequest
    from lorafw.serving.completion_request import CompletionRequest
    from lorafw.serving.wishes import Wishes

CHAT_TOKENS, COMPLETION_TOKENS = 1024, 16
"""Most tokens of an answer that is asked for without a limit."""

_SEEDS = 2**63

T = TypeVar("T")


class Asking:
    """Reads prompts as the models do, and makes answers of requests.

    Not for several threads at once: tokenizers are not.

    Args:
        catalogue: who can be asked.
        longest: most tokens that an answer may be asked to have.
    """

    def __init__(self, catalogue: Catalogue, *, longest: int) -> None:
        self._catalogue, self._bundle = catalogue, catalogue.model.bundle
        self._context = context_length(self._bundle)
        self._longest = min(longest, self._context)
        self._tokens = vocabulary_size(self._bundle)

    def chat(self, request: ChatRequest) -> Job:
        """The answers to a conversation, as the model's own training template renders it.

        Raises:
            Refusal: there is no such model, or it cannot be asked this.
        """
        adapter = self._catalogue.adapter_of(request.model)
        tokenizer = self._bundle.tokenizer
        encoder = self._catalogue.model.voice(adapter).encoder
        turns = request.conversation
        ids = _accepted(lambda: encode_prompt(encoder, tokenizer, turns).input_ids, "messages")
        if request.max_tokens is not None and request.max_completion_tokens is not None:
            raise Refusal(400, "Give max_completion_tokens or max_tokens.", param="max_tokens")
        most = request.max_completion_tokens or request.max_tokens
        wishes = self._wishes(request, request.likeliest, most, CHAT_TOKENS)
        answers = self._answers(ids, wishes, adapter, "messages")
        return Job(answers, len(ids), streams=bool(request.stream))

    def completion(self, request: CompletionRequest) -> Job:
        """The answers to every prompt, read as it stands; those to one prompt side by side.

        Raises:
            Refusal: there is no such model, or it cannot be asked this.
        """
        adapter = self._catalogue.adapter_of(request.model)
        wishes = self._wishes(request, request.likeliest, request.max_tokens, COMPLETION_TOKENS)
        prompts = [self._ids(prompt) for prompt in request.prompts]
        lists = [self._answers(ids, wishes, adapter, "prompt") for ids in prompts]
        answers = [answer for each in lists for answer in each]
        return Job(answers, sum(map(len, prompts)), streams=bool(request.stream))

    def _ids(self, prompt: str | Sequence[int]) -> Sequence[int]:
        if isinstance(prompt, str):
            tokenizer = self._bundle.tokenizer
            return [*opening_ids(tokenizer), *text_ids(tokenizer, prompt)]
        if unknown := [token for token in prompt if token >= self._tokens]:
            raise Refusal(400, f"The model has no token {unknown[0]}.", param="prompt")
        return prompt

    def _answers(
        self, ids: Sequence[int], wishes: Sequence[Sampling], adapter: str | None, param: str
    ) -> list[Answer]:
        if len(ids) >= self._context:
            fault = f"This model's context is {self._context} tokens; the prompt has {len(ids)}."
            raise Refusal(400, fault, param=param, code="context_length_exceeded")
        begin, prompt = self._catalogue.model.begin_ids, tuple(ids)
        return _accepted(lambda: [begin(prompt, each, adapter) for each in wishes], param)

    def _wishes(
        self, request: Wishes, likeliest: int | None, most: int | None, usual: int
    ) -> list[Sampling]:
        """How each answer to a prompt is chosen; they differ in their seeds."""
        if most is not None and most > self._longest:
            fault = f"{most} tokens are too many; this model gives {self._longest} at most."
            raise Refusal(400, fault, param="max_tokens")
        seed = secrets.randbits(62) if request.seed is None else request.seed
        common: dict[str, Any] = {
            "max_new_tokens": most or min(usual, self._longest),
            "temperature": 1.0 if request.temperature is None else request.temperature,
            "top_p": 1.0 if request.top_p is None else request.top_p,
            "top_k": request.top_k or 0,
            "repetition_penalty": request.repetition_penalty or 1.0,
            "presence_penalty": request.presence_penalty or 0.0,
            "frequency_penalty": request.frequency_penalty or 0.0,
            "bias": self._bias(request),
            "stop": tuple(request.stop or ()),
            "logprobs": likeliest,
        }
        return [Sampling(**common, seed=(seed + at) % _SEEDS) for at in range(request.choices)]

    def _bias(self, request: Wishes) -> dict[int, float]:
        given = request.logit_bias or {}
        for token in given:
            if not token.isdecimal() or len(token) > 9 or int(token) >= self._tokens:
                raise Refusal(400, f"The model has no token {token!r}.", param="logit_bias")
        return {int(token): bias for token, bias in given.items()}


def _accepted(make: Callable[[], T], param: str) -> T:
    try:
        return make()
    except LorafwError as error:
        raise Refusal(400, str(error), param=param) from None
