"""A loaded model as lm-evaluation-harness asks one: by raw texts, without a template."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lm_eval.api.model import LM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from lorafw.errors import UsageError
from lorafw.inference.generation.room import context_length
from lorafw.inference.generation.sampling import Sampling
from lorafw.inference.likelihood import RowLoss
from lorafw.inference.loaded import TUNED
from lorafw.types import IGNORE_INDEX, Encoded

if TYPE_CHECKING:
    from lorafw.inference.loaded import LoadedModel

LONGEST_ANSWER = 256
"""Most new tokens where a task does not say."""


class HarnessModel(LM):  # type: ignore[misc] # the harness is not typed
    """Answers the harness's requests with a loaded model, or with its base alone.

    Args:
        model: a causal language model.
        adapter: False asks the base alone.
    """

    def __init__(self, model: LoadedModel, *, adapter: bool = True) -> None:
        super().__init__()
        self._model, self._adapter = model, adapter
        self._tokenizer = model.bundle.tokenizer
        self._context = context_length(model.bundle)

    @property
    def tokenizer_name(self) -> str:
        """A name for the harness's caches."""
        return str(getattr(self._tokenizer, "name_or_path", "")).replace("/", "__")

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """The log p of each continuation behind its context, and whether it is greedy."""
        pairs = [self._pair(*request.args) for request in requests]
        return [(-found.loss, found.greedy) for found in self._losses(pairs)]

    def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
        """The log p of each text, long ones in windows that predict every token once."""
        texts = [list(self._windows(*request.args)) for request in requests]
        found = iter(self._losses([pair for windows in texts for pair in windows]))
        return [-sum(next(found).loss for _ in windows) for windows in texts]

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """The answer to each context, up to one of the texts that end it."""
        voice = TUNED if self._adapter else None
        answers = []
        for request in requests:
            context, wishes = request.args
            sampling = _sampling(wishes)
            room = max(1, self._context - sampling.max_new_tokens)
            ids = self._ids(context) or [self._prefix]
            answers.append(self._model.begin_ids(ids[-room:], sampling, voice))
        for _ in self._model.grow(answers):
            pass
        return [answer.text for answer in answers]

    @property
    def _prefix(self) -> int:
        """What stands before a text that nothing stands before."""
        for token in (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id):
            if token is not None:
                return token
        raise UsageError("the tokenizer has neither a token that begins texts nor one that ends.")

    def _ids(self, text: str, *, special: bool = True) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=special)

    def _pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Ids of both; a space between words belongs to the continuation."""
        if not context:
            return [self._prefix], self._ids(continuation, special=False)
        bare = context.rstrip()
        whole, before = self._ids(context + continuation), self._ids(bare)
        return whole[: len(before)], whole[len(before) :]

    def _windows(self, text: str) -> Iterator[tuple[list[int], list[int]]]:
        ids = self._ids(text, special=False)
        for window in get_rolling_token_windows(ids, self._prefix, self._context - 1, 1):
            yield make_disjoint_window(window)

    def _losses(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[RowLoss]:
        return self._model.row_losses([self._row(*pair) for pair in pairs], adapter=self._adapter)

    def _row(self, context: list[int], continuation: list[int]) -> Encoded:
        """Ids of which the continuation counts; what is too long loses its beginning."""
        ids = [*context, *continuation][-self._context :]
        counted = continuation[-(len(ids) - 1) :] if len(ids) > 1 else []
        return Encoded(ids, [IGNORE_INDEX] * (len(ids) - len(counted)) + counted)


def _sampling(wishes: dict[str, Any]) -> Sampling:
    """The harness's wishes; whatever it does not say is greedy."""
    until = wishes.get("until", ())
    stops = (until,) if isinstance(until, str) else tuple(until)
    drawn = bool(wishes.get("do_sample")) or wishes.get("temperature", 0) > 0
    return Sampling(
        max_new_tokens=int(wishes.get("max_gen_toks", LONGEST_ANSWER)),
        temperature=float(wishes.get("temperature", 1.0)) if drawn else 0.0,
        top_p=float(wishes.get("top_p", 1.0)),
        stop=tuple(stop for stop in stops if stop),
    )
