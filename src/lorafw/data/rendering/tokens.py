"""Texts to token ids, piece by piece, so that the ids of a prefix never change."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from lorafw.data.rendering.backend import literal_backend, plain_backend
from lorafw.errors import ModelError
from lorafw.types import Tokenizer

_PROBE = "a"
_ANCHORS = ("\n", "a")
"""Texts to stand in front of another; the second for texts whose newline clings to the first."""


def text_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a text at the beginning of a row, without special tokens around it."""
    backend = plain_backend(tokenizer)
    if backend is None:
        return tokenizer.encode(text, add_special_tokens=False)
    ids: list[int] = backend.encode_batch_fast([text], add_special_tokens=False)[0].ids
    return ids


def literal_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a text in which no special token is read but those that the user added."""
    if backend := literal_backend(tokenizer):
        ids: list[int] = backend.encode(text, add_special_tokens=False).ids
        return ids
    own: Any = tokenizer
    ids = own.encode(text, add_special_tokens=False, split_special_tokens=True)
    return ids


def continuation_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a text that goes on from an earlier one.

    SentencePiece tokenizers put a space before the first word of a text; in the middle of a row
    that space was never written, so the text is read behind another, whose ids are taken off.
    """
    for anchor in _ANCHORS if _adds_space(tokenizer) else ():
        before = text_ids(tokenizer, anchor)
        whole = text_ids(tokenizer, anchor + text)
        if whole[: len(before)] == before:
            return whole[len(before) :]
    return text_ids(tokenizer, text)


@lru_cache(maxsize=8)
def _adds_space(tokenizer: Tokenizer) -> bool:
    newline, plain = text_ids(tokenizer, "\n"), text_ids(tokenizer, _PROBE)
    return text_ids(tokenizer, "\n" + _PROBE) != newline + plain


@lru_cache(maxsize=8)
def opening_ids(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The special tokens, such as BOS, that the tokenizer puts before every text."""
    plain = text_ids(tokenizer, _PROBE)
    whole = tokenizer.encode(_PROBE, add_special_tokens=True)
    starts = range(len(whole) - len(plain) + 1)
    at = next((at for at in starts if whole[at : at + len(plain)] == plain), 0)
    return tuple(whole[:at])


@lru_cache(maxsize=8)
def bos_text(tokenizer: Tokenizer) -> str:
    """How the beginning-of-sequence token is written; empty where there is none."""
    bos = tokenizer.bos_token_id
    return "" if bos is None else tokenizer.decode([bos])


def eos_id(tokenizer: Tokenizer) -> int:
    """The end-of-sequence token; raises ModelError when the tokenizer has none."""
    if tokenizer.eos_token_id is None:
        raise ModelError(
            "the tokenizer has no end-of-sequence token, so no row could teach the model to stop.",
            mend="Set eos_token in tokenizer_config.json.",
        )
    return tokenizer.eos_token_id


@lru_cache(maxsize=64)
def mark_id(tokenizer: Tokenizer, text: str) -> int | None:
    """The id of a special token, such as `[gMASK]`; None where the tokenizer has no such token."""
    vocabulary: Any = tokenizer
    found = vocabulary.convert_tokens_to_ids(text)
    if found is None or vocabulary.convert_ids_to_tokens(found) != text:
        return None
    return int(found)


@lru_cache(maxsize=8)
def end_marks(tokenizer: Tokenizer) -> tuple[str, ...]:
    """Texts of the special tokens that can end a turn, such as EOS and `<end_of_turn>`."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    marks = {token.content for token in added.values() if token.special}
    if tokenizer.bos_token_id is not None:
        marks.discard(tokenizer.decode([tokenizer.bos_token_id]))
    marks.add(tokenizer.decode([eos_id(tokenizer)]))
    return tuple(sorted(marks))
