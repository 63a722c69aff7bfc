"""Log-probabilities of an answer's tokens, in the two shapes that OpenAI's clients read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorafw.inference.generation.answer import Answer, TokenChances
    from lorafw.types import Tokenizer

_LEAST = -9999.0
"""Stands for minus infinity, which JSON has no number for."""
_HALF = "\N{REPLACEMENT CHARACTER}"


def of_chat(answer: Answer, tokenizer: Tokenizer, start: int, stop: int) -> dict[str, Any]:
    """Of an answer's tokens from `start` to before `stop`, for a chat completion."""
    entries = [
        {
            **_entry(token, chances.chosen, tokenizer),
            "top_logprobs": [
                _entry(each, log, tokenizer) for each, log in chances.likeliest.items()
            ],
        }
        for token, chances in _told(answer, tokenizer, start, stop)
    ]
    return {"content": entries, "refusal": None}


def of_completion(
    answer: Answer, tokenizer: Tokenizer, start: int, stop: int, offset: int
) -> dict[str, Any]:
    """The same for a completion; `offset` is where in its text the first token begins."""
    pairs = list(_told(answer, tokenizer, start, stop))
    texts = [tokenizer.decode([token]) for token, _ in pairs]
    return {
        "tokens": texts,
        "token_logprobs": [_finite(chances.chosen) for _, chances in pairs],
        "top_logprobs": [_by_text(chances, tokenizer) for _, chances in pairs],
        "text_offset": [offset + sum(map(len, texts[:at])) for at in range(len(texts))],
    }


def _told(
    answer: Answer, tokenizer: Tokenizer, start: int, stop: int
) -> Iterator[tuple[int, TokenChances]]:
    """Tokens that are part of the text; the one that ended the answer is not."""
    for token, chances in zip(answer.ids[start:stop], answer.chances[start:stop], strict=True):
        if tokenizer.decode([token], skip_special_tokens=True):
            yield token, chances


def _entry(token: int, log: float, tokenizer: Tokenizer) -> dict[str, Any]:
    """Bytes are told only of tokens that are whole characters: others have none as text."""
    text = tokenizer.decode([token])
    raw = None if _HALF in text else list(text.encode())
    return {"token": text, "logprob": _finite(log), "bytes": raw}


def _by_text(chances: TokenChances, tokenizer: Tokenizer) -> dict[str, float]:
    return {tokenizer.decode([each]): _finite(log) for each, log in chances.likeliest.items()}


def _finite(log: float) -> float:
    return max(log, _LEAST)
