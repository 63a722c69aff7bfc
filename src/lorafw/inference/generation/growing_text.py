"""The text of an answer while its tokens come in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.types import Tokenizer

_HALF = "\N{REPLACEMENT CHARACTER}"
"""What the bytes of a character are decoded to until the last of them is there."""

_MAY_CLOSE_UP = re.compile(r" (?:n ?'? ?|'[vr]?)?$")
"""Ends of a text whose space tokenizers that tidy up may drop, such as the one of "do n 't"."""


class GrowingText:
    """Tells what of a text can be shown already, and whether a stop text ended it.

    All pieces together are the text that all tokens decode to, up to the first stop text.

    Args:
        tokenizer: decodes; special tokens are left out.
        stop: texts that end the answer.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()) -> None:
        self._tokenizer, self._stop = tokenizer, tuple(stop)
        self._tidies = bool(getattr(tokenizer, "clean_up_tokenization_spaces", False))
        self._shown = 0
        self.text = ""
        self.stopped = False

    def read(self, ids: Sequence[int]) -> None:
        """Take in all tokens so far."""
        whole = self._tokenizer.decode(ids, skip_special_tokens=True)
        ends = [place for stop in self._stop if (place := whole.find(stop)) >= 0]
        self.stopped = bool(ends)
        self.text = whole[: min(ends)] if ends else whole

    def fresh(self, *, done: bool) -> str:
        """What can be shown now and was not shown before; all the rest, once the answer is done."""
        safe = self.text if done or self.stopped else self.text[: self._certain()]
        piece = safe[self._shown :]
        self._shown += len(piece)
        return piece

    def _certain(self) -> int:
        """How much of the text no later token can change: no half character, no half stop text."""
        text = self.text.rstrip(_HALF)
        held = max((_overlap(text, stop) for stop in self._stop), default=0)
        certain = len(text) - held
        loose = _MAY_CLOSE_UP.search(text) if self._tidies else None
        return min(certain, loose.start()) if loose else certain


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of a text that a stop text begins with."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
