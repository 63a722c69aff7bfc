"""A chat template at work: messages to text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError

from lorafw.errors import ConfigError, DataError
from lorafw.types import Message, Tokenizer

KEY = "encoder.template"
RESERVED = ("conversation", "tokenize", "add_generation_prompt", "chat_template")
"""Options of `apply_chat_template` that are not for the user to set."""


@dataclass(frozen=True, slots=True)
class Template:
    """Renders conversations.

    Attributes:
        tokenizer: gives the special tokens, and its own template where `text` is None.
        name: what the template is called in errors.
        text: Jinja.
        options: variables the template knows beside the messages.
    """

    tokenizer: Tokenizer
    name: str
    text: str | None
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.text is None and not self.tokenizer.chat_template:
            raise ConfigError(
                "the tokenizer has no chat template.",
                where=KEY,
                mend="Set encoder.template, or use encoder prompt: -o encoder.use=prompt.",
            )

    def __call__(self, messages: Sequence[Message], *, awaiting: bool) -> str:
        """The text; with `awaiting`, what calls for the assistant's answer stands behind it.

        Raises:
            ConfigError: the template is not Jinja.
            DataError: the template refuses the conversation.
        """
        try:
            return self._rendered(messages, awaiting)
        except TemplateSyntaxError as error:
            raise ConfigError(f"{self.name} is not Jinja: {error}.", where=KEY) from None
        except TemplateError as error:
            raise DataError(f"{self.name} refuses a conversation: {error}.") from None

    def _rendered(self, messages: Sequence[Message], awaiting: bool) -> str:
        rendered = self.tokenizer.apply_chat_template(
            [{"role": message.role, "content": message.content} for message in messages],
            tokenize=False,
            add_generation_prompt=awaiting,
            chat_template=self.text,
            **self.options,
        )
        return str(rendered)
