"""What each token of a row adds to its text."""

from __future__ import annotations

from collections.abc import Sequence

from lorafw.types import Tokenizer

_HALF = "\ufffd"
"""What a tokenizer writes for the bytes of a character that is not whole yet."""
_MOST_BYTES = 4
"""UTF-8 has no longer character, and a byte-level tokenizer no token shorter than a byte."""


def token_texts(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """The text that each token adds to what stands before it.

    Decoded one by one, tokens lose the space before a word and the characters they only hold
    parts of; here each is read behind its neighbour. A token that does not complete a character
    adds nothing, and the one that does adds all of it.
    """
    texts: list[str] = []
    start = done = 0
    for end in range(1, len(ids) + 1):
        before, whole = _decoded(tokenizer, ids[start:done]), _decoded(tokenizer, ids[start:end])
        if whole.endswith(_HALF) and end < len(ids) and end - done < _MOST_BYTES:
            texts.append("")
            continue
        texts.append(whole[len(before) :])
        start, done = done, end
    return texts


def _decoded(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    return tokenizer.decode(list(ids), skip_special_tokens=False) if ids else ""
