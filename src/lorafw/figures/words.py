"""Texts made comparable: spelling that does not count, and words of any script."""

from __future__ import annotations

import re
import unicodedata

_WITHOUT_SPACES = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u30ff\u3100-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f"
    "\u1780-\u17ff"
)
"""Letters of scripts that put no spaces between words: Han, kana, Thai, Lao, Burmese, Khmer."""

_HAN = re.compile("[\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_KANA = re.compile("[\u3041-\u30ff\uff66-\uff9f]")
_WORD = re.compile(f"[{_WITHOUT_SPACES}]|[^\\W_{_WITHOUT_SPACES}]+")
_WORD_OR_MARK = re.compile(f"{_WORD.pattern}|[^\\w\\s]|_")
_SPACE = re.compile(r"\s+")


def normalised(text: str, *, ignore_case: bool = True, ignore_punctuation: bool = False) -> str:
    """A text in Unicode's compatible form (NFKC), its white space single and none at its ends.

    Args:
        text: any text.
        ignore_case: fold upper and lower case.
        ignore_punctuation: leave out punctuation and symbols.
    """
    text = unicodedata.normalize("NFKC", text)
    text = text.casefold() if ignore_case else text
    if ignore_punctuation:
        text = "".join(" " if unicodedata.category(c)[0] in "PS" else c for c in text)
    return _SPACE.sub(" ", text).strip()


def words(text: str) -> list[str]:
    """The words of a text in lower case; characters where a script puts no spaces between words."""
    return _WORD.findall(normalised(text))


def sentence_tokens(text: str) -> list[str]:
    """The same with every mark of punctuation as a word of its own."""
    return _WORD_OR_MARK.findall(normalised(text))


def is_chinese(text: str) -> bool:
    """Whether a text has Chinese characters and no Japanese syllables."""
    return bool(_HAN.search(text)) and not _KANA.search(text)


def is_japanese(text: str) -> bool:
    """Whether a text has Japanese syllables."""
    return bool(_KANA.search(text))
