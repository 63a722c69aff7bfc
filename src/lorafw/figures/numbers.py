"""The number that an answer to a calculation comes to."""

from __future__ import annotations

import re
from decimal import Decimal

MARK = "####"
"""What GSM8K writes before the final number."""

_SIGN = r"(?:(?<![\w.)])-)?"  # in 16-3 it takes away
_NUMBER = re.compile(rf"{_SIGN}(?:(?:\d{{1,3}}(?:,\d{{3}})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)")


def marked_number(text: str) -> Decimal | None:
    """The first number behind the last `####`; None without one."""
    _, mark, behind = text.rpartition(MARK)
    found = _NUMBER.search(behind) if mark else None
    return _value(found.group()) if found else None


def last_number(text: str) -> Decimal | None:
    """The last number anywhere in a text; None if it has none."""
    found = _NUMBER.findall(text)
    return _value(found[-1]) if found else None


def _value(digits: str) -> Decimal:
    """What digits with thousands apart are worth: `1,200.0` and `1200` are the same."""
    return Decimal(digits.replace(",", ""))
