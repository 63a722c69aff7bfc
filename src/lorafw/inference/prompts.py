"""A prompt as the rows of training were rendered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from lorafw.contracts.encoder import Encoder
from lorafw.errors import UsageError
from lorafw.types import ChatExample, Encoded, Example, Message, PromptExample, TextExample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.types import Tokenizer

Prompt: TypeAlias = "str | Sequence[Message] | Example"
"""One prompt, or the turns so far, the last of them the user's; or a row as it is trained on.

A row brings what neither of them can: an input apart from its instruction, or tools.
"""

E = TypeVar("E", bound=Encoder)


def uncut(encoder: E) -> E:
    """The same encoder for prompts: rows of training were cut to a length, a prompt fits or not."""
    return encoder.model_copy(update={"max_length": 2**31, "max_prompt_length": None})


def encode_prompt(encoder: Encoder, tokenizer: Tokenizer, prompt: Prompt) -> Encoded:
    """A prompt as the model is given it.

    Raises:
        UsageError: it is a conversation and the model takes single prompts, or it is empty.
    """
    return encoder.prompt(_taken(encoder, _as_example(prompt)), tokenizer)


def several(prompts: Sequence[Prompt]) -> Sequence[Prompt]:
    """The prompts as they are.

    Raises:
        UsageError: it is one text, which would be asked letter by letter.
    """
    if isinstance(prompts, str):
        raise UsageError(
            "prompts must be a list of prompts, not one text.", mend="Put it in a list."
        )
    return prompts


def takes_conversations(encoder: Encoder) -> bool:
    """Whether there may be more than one turn, such as the system's words."""
    return ChatExample in encoder.accepts


def with_system(prompt: Prompt, system: str) -> Prompt:
    """The prompt behind words of the system's, unless there are none or it brings its own."""
    if not system:
        return prompt
    example = _as_example(prompt)
    if isinstance(example, ChatExample):
        told = example.messages[:1] and example.messages[0].role == "system"
        messages = (Message("system", system), *example.messages)
        return example if told else replace(example, messages=messages)
    if isinstance(example, TextExample):
        return (Message("system", system), Message("user", example.text))
    assert isinstance(example, PromptExample)
    return (Message("system", system), Message("user", example.whole_prompt))


def _as_example(prompt: Prompt) -> Example:
    if isinstance(prompt, Example):
        return prompt
    if isinstance(prompt, str):
        return PromptExample(valid_text(prompt), "")
    turns = _turns(prompt)
    for turn in turns:
        valid_text(turn.content)
    return ChatExample(turns)


def _turns(prompt: object) -> tuple[Message, ...]:
    """What a caller gave for a conversation, which need not be one."""
    given = list(prompt) if isinstance(prompt, Iterable) else [prompt]
    turns = tuple(turn for turn in given if isinstance(turn, Message))
    if len(turns) < len(given):
        mend = 'Ask with a text, or with turns such as lorafw.Message("user", "…").'
        raise UsageError("the prompt is neither a text nor a list of messages.", mend=mend)
    return turns


def valid_text(text: str) -> str:
    """The text as it is.

    Raises:
        UsageError: it holds half a surrogate pair, which tokenizers do not take.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        fault = f"the text is not valid Unicode at character {error.start}."
        raise UsageError(fault) from None
    return text


def _taken(encoder: Encoder, example: Example) -> Example:
    """The example in the kind that the encoder takes, without an answer."""
    if isinstance(example, TextExample):
        example = PromptExample(example.text, "")
    if isinstance(example, PromptExample):
        return _of_pair(encoder, example)
    if isinstance(example, ChatExample):
        return _of_chat(encoder, example)
    raise UsageError(f"a {type(example).__name__} asks nothing that can be answered.")


def _of_pair(encoder: Encoder, pair: PromptExample) -> Example:
    if ChatExample in encoder.accepts:
        return ChatExample((Message("user", pair.whole_prompt),))
    if TextExample in encoder.accepts:
        return TextExample(pair.whole_prompt)
    return replace(pair, response="")


def _of_chat(encoder: Encoder, chat: ChatExample) -> Example:
    if not chat.messages:
        raise UsageError("the conversation is empty.")
    if ChatExample in encoder.accepts:
        return chat
    if len(chat.messages) > 1 or chat.tools:
        mend = "Ask with one text, or use a model with a chat template."
        raise UsageError("this model takes single prompts, not conversations.", mend=mend)
    return _of_pair(encoder, PromptExample(chat.messages[0].content, ""))
