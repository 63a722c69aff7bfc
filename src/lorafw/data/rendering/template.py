"""A chat template at work: messages to text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError

from lorafw.data.rendering.renderer import Renderer, renderer
from lorafw.data.rendering.turns import template_turn
from lorafw.errors import ConfigError, DataError
from lorafw.types import Message, Tokenizer

KEY = "encoder.template"
RESERVED = (
    "conversation",
    "messages",
    "tokenize",
    "add_generation_prompt",
    "chat_template",
    "tools",
)
"""Options of `apply_chat_template` that are not for the user to set."""


@dataclass(frozen=True)
class Template:
    """Renders conversations.

    Attributes:
        tokenizer: gives the special tokens, and its own template where `text` is None.
        name: what the template is called in errors.
        text: Jinja.
        options: variables the template knows beside the messages.
        tools: functions the assistant may call, as JSON Schema; the template's variable `tools`.
    """

    tokenizer: Tokenizer
    name: str
    text: str | None
    options: Mapping[str, Any]
    tools: Sequence[Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        text = self.text or self.tokenizer.chat_template
        if not text:
            raise ConfigError(
                "the tokenizer has no chat template.",
                where=KEY,
                mend="Set encoder.template, or use encoder prompt: -o encoder.use=prompt.",
            )
        if self.tools and "tools" not in str(text):
            raise no_place_for_tools(self.name)

    def __call__(self, messages: Sequence[Message], *, awaiting: bool) -> str:
        """The text; with `awaiting`, what calls for the assistant's answer stands behind it.

        Raises:
            ConfigError: the template is not Jinja.
            DataError: the template refuses the conversation, or has no place for its calls.
        """
        if any(message.tool_calls for message in messages) and not self._writes_calls:
            raise no_place_for_calls(self.name)
        try:
            return self._render([template_turn(message) for message in messages], awaiting)
        except TemplateSyntaxError as error:
            raise ConfigError(f"{self.name} is not Jinja: {error}.", where=KEY) from None
        except (TemplateError, TypeError, ValueError) as error:
            raise DataError(f"{self.name} refuses a conversation: {error}.") from None

    @cached_property
    def _render(self) -> Renderer:
        return renderer(self.tokenizer, self.text, self.tools, self.options)

    @cached_property
    def _writes_calls(self) -> bool:
        return "tool_calls" in str(self.text or self.tokenizer.chat_template)


def no_place_for_tools(name: str) -> DataError:
    """The error of a template that would leave a conversation's tools out."""
    return DataError(
        f"{name} has no place for a conversation's tools.",
        mend="Take a template that writes them: encoder.template.",
    )


def no_place_for_calls(name: str) -> DataError:
    """The error of a template that would leave the assistant's calls of tools out."""
    return DataError(
        f"{name} has no place for the assistant's tool calls.",
        mend="Take a template that writes them (encoder.template), or write them into the text of "
        "the turn.",
    )


def read_tools(text: str) -> list[dict[str, Any]] | None:
    """The functions a conversation's JSON text lists; None where it lists none.

    Raises:
        DataError: it is not a list of objects.
    """
    if not text.strip():
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DataError(f"a conversation's tools are not JSON: {error}.") from None
    if not isinstance(found, list) or not all(isinstance(tool, dict) for tool in found):
        raise DataError("a conversation's tools must be a list of objects.")
    return found or None
