"""The flags that say how an answer is chosen, shared by every verb that generates text."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from lorafw.inference.generation.sampling import Sampling

USUAL = Sampling()


def sampling_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags of sampling; it receives them as one `sampling: Sampling`."""

    @wraps(command)
    def with_flags(**given: Any) -> None:
        wishes = {name: given.pop(name) for name in _HELP}
        command(sampling=Sampling(**wishes), **given)

    for name in reversed(_HELP):
        _option(name)(with_flags)
    return with_flags


_HELP = {
    "max_new_tokens": "Longest answer, in tokens.",
    "temperature": "Randomness of the answer; 0 takes the likeliest token.",
    "top_p": "Draw from the likeliest tokens that together have this probability.",
    "top_k": "Draw from this many of the likeliest tokens; 0 from all.",
    "repetition_penalty": "Divides the scores of tokens that occurred already; 1 is none.",
    "stop": "Text that ends the answer and is no part of it; repeatable.",
    "seed": "Of the draws; every answer draws from the same.",
}
_RANGES: dict[str, click.IntRange | click.FloatRange] = {
    "max_new_tokens": click.IntRange(min=1),
    "temperature": click.FloatRange(min=0),
    "top_p": click.FloatRange(min=0, max=1, min_open=True),
    "top_k": click.IntRange(min=0),
    "repetition_penalty": click.FloatRange(min=0, min_open=True),
    "seed": click.IntRange(min=0, max=2**63 - 1),
}


def _option(name: str) -> Callable[[Any], Any]:
    flag, meaning = f"--{name.replace('_', '-')}", _HELP[name]
    if name == "stop":
        return click.option(flag, metavar="TEXT", multiple=True, help=meaning)
    usual = getattr(USUAL, name)
    return click.option(flag, type=_RANGES[name], default=usual, show_default=True, help=meaning)
