"""A prompt as the rows of training were rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar

from lorafw.contracts.encoder import Encoder
from lorafw.errors import UsageError
from lorafw.types import ChatExample, Encoded, Example, Message, PromptExample, TextExample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.types import Tokenizer

Prompt: TypeAlias = "str | Sequence[Message]"
"""One prompt, or the turns so far, the last of them the user's."""

E = TypeVar("E", bound=Encoder)


def uncut(encoder: E) -> E:
    """The same encoder for prompts: rows of training were cut to a length, a prompt fits or not."""
    return encoder.model_copy(update={"max_length": 2**31, "max_prompt_length": None})


def encode_prompt(encoder: Encoder, tokenizer: Tokenizer, prompt: Prompt) -> Encoded:
    """A prompt as the model is given it.

    Raises:
        UsageError: it is a conversation and the model takes single prompts, or it is empty.
    """
    messages = (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)
    if not messages:
        raise UsageError("the conversation is empty.")
    return encoder.prompt(_example(encoder, messages), tokenizer)


def _example(encoder: Encoder, messages: tuple[Message, ...]) -> Example:
    if ChatExample in encoder.accepts:
        return ChatExample(messages)
    if len(messages) > 1:
        mend = "Ask with one text, or use a model with a chat template."
        raise UsageError("this model takes single prompts, not conversations.", mend=mend)
    if TextExample in encoder.accepts:
        return TextExample(messages[0].content)
    return PromptExample(messages[0].content, "")
