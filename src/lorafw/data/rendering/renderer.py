"""What makes text of messages: the compiled template itself where a tokenizer adds nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, cast

from lorafw.types import Tokenizer

Turns = Sequence[Mapping[str, Any]]
Renderer = Callable[[Turns, bool], str]
"""The text of messages; with True, what calls for the assistant's answer stands behind it."""


def renderer(
    tokenizer: Tokenizer,
    text: str | None,
    tools: Sequence[Mapping[str, Any]] | None,
    options: Mapping[str, Any],
) -> Renderer:
    """`apply_chat_template` without what it does anew for every conversation.

    It looks for the template, gathers the special tokens and copies all that a template may see;
    for a row that takes as long as the template itself. What it would render is the same.

    Args:
        tokenizer: gives the special tokens, and its own template where `text` is None.
        text: Jinja.
        tools: the template's variable `tools`.
        options: other variables it knows.

    Raises:
        jinja2.TemplateSyntaxError: it is not Jinja.
    """
    compiled = _compiler()
    if compiled is None or not _is_plain(type(tokenizer)) or _asked_more(options):
        return _asking(tokenizer, {**options, "chat_template": text, "tools": tools})
    known = cast("Any", tokenizer)
    render = compiled(known.get_chat_template(text, tools)).render
    variables = {"documents": None, **known.special_tokens_map, **options, "tools": tools}

    def rendered(turns: Turns, awaiting: bool) -> str:
        return str(render(variables, messages=turns, add_generation_prompt=awaiting))

    return rendered


def _asking(tokenizer: Tokenizer, options: Mapping[str, Any]) -> Renderer:
    def rendered(turns: Turns, awaiting: bool) -> str:
        text = tokenizer.apply_chat_template(
            list(turns), tokenize=False, add_generation_prompt=awaiting, **options
        )
        return str(text)

    return rendered


@cache
def _compiler() -> Any:
    """What compiles a template once, in transformers; None in a version that has it not."""
    from transformers.utils import chat_template_utils

    return getattr(chat_template_utils, "_compile_jinja_template", None)


@cache
def _is_plain(kind: type) -> bool:
    """Whether a kind of tokenizer renders as all do."""
    from transformers import PreTrainedTokenizerBase

    return all(
        getattr(kind, name, None) is getattr(PreTrainedTokenizerBase, name)
        for name in ("apply_chat_template", "get_chat_template", "special_tokens_map")
    )


def _asked_more(options: Mapping[str, Any]) -> bool:
    """Whether some options are not the template's but those of `apply_chat_template`."""
    return not _own_options().isdisjoint(options)


@cache
def _own_options() -> frozenset[str]:
    from transformers import PreTrainedTokenizerBase

    return frozenset(inspect.signature(PreTrainedTokenizerBase.apply_chat_template).parameters)
