"""The body of `POST /v1/chat/completions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from lorafw.serving.wishes import Body, Tokens, Wishes
from lorafw.types import Message

_MOST_LIKELY = 20


class TextPart(Body):
    """A part of a message's content; images, sound and files cannot be taken."""

    type: Literal["text"]
    text: str


class Turn(Body):
    """One message. What an answer of this server brought may be sent back as it is."""

    neutral: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "refusal": (),
        "annotations": ([],),
        "audio": (),
        "function_call": (),
        "tool_calls": ([],),
        "tool_call_id": (),
        "name": (),
    }

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    @field_validator("content", mode="before")
    @classmethod
    def _only_texts(cls, content: object) -> object:
        parts = content if isinstance(content, list) else []
        texts = [part.get("type") == "text" for part in parts if isinstance(part, dict)]
        if isinstance(content, str) or (parts and len(texts) == len(parts) and all(texts)):
            return content
        raise ValueError("must be a text, or a list of parts of type 'text'")

    @property
    def message(self) -> Message:
        """The same for an encoder; a developer speaks as the system."""
        role = "system" if self.role == "developer" else self.role
        if isinstance(self.content, str):
            return Message(role, self.content)
        return Message(role, "".join(part.text for part in self.content))


class ChatRequest(Wishes):
    """A conversation, to be continued."""

    neutral: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "tools": ([],),
        "tool_choice": ("none",),
        "parallel_tool_calls": (True, False),
        "functions": ([],),
        "function_call": ("none",),
        "response_format": ({"type": "text"},),
        "modalities": (["text"],),
        "audio": (),
        "prediction": (),
        "reasoning_effort": ("none",),
        "web_search_options": (),
        "verbosity": (),
        "store": (False,),
        "metadata": ({},),
        "service_tier": ("auto", "default"),
    }

    messages: list[Turn] = Field(min_length=1)
    max_completion_tokens: Tokens | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=_MOST_LIKELY)] | None = None

    @field_validator("messages", mode="before")
    @classmethod
    def _read_turns(cls, sent: object) -> object:
        if not isinstance(sent, list):
            return sent
        return [Turn.without_neutral(turn, f"messages[{at}].") for at, turn in enumerate(sent)]

    @field_validator("messages")
    @classmethod
    def _asks(cls, turns: list[Turn]) -> list[Turn]:
        if turns[-1].role != "user":
            raise ValueError("the last message must be the user's")
        return turns

    @property
    def conversation(self) -> list[Message]:
        """The turns so far, the last of them the user's."""
        return [turn.message for turn in self.messages]

    @property
    def likeliest(self) -> int | None:
        """At how many tokens' log-probabilities to look; None not at all."""
        return (self.top_logprobs or 0) if self.logprobs else None
