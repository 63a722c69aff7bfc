"""The conversations of tiny-LLM."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from lorafw.builtin.templates.glm_marks import opening_marks
from lorafw.builtin.templates.marked import Form, MarkedConversation
from lorafw.data.rendering.segments import Segment, opening
from lorafw.types import Message, Tokenizer

_FORM = Form(
    {"system": "<|system|>\n", "user": "<|user|>\n", "assistant": "<|assistant|>\n"},
    {"system": "\n", "user": "\n"},
)


class TinyLlm(MarkedConversation):
    """Conversations of tiny-LLM, which has ChatGLM3's tokenizer.

    `<|system|>` is one token where the tokenizer knows it. tiny-LLM itself writes it as text, so
    its own checkpoints have seen the pieces of it instead.
    """

    system: str = Field(
        "你是由李小贱开发的个人助手。",
        description="System line of conversations that bring none; empty for no line.",
    )

    def form(self, tokenizer: Tokenizer) -> Form:
        """Roles on lines of their own."""
        del tokenizer
        return _FORM

    def opening(self, tokenizer: Tokenizer) -> list[Segment]:
        """`[gMASK]` and `sop` where the tokenizer has them."""
        return opening(opening_marks(tokenizer))

    def told(self, messages: Sequence[Message]) -> Sequence[Message]:
        """The messages, behind the system line where they bring none."""
        if not self.system or messages[0].role == "system":
            return messages
        return [Message("system", self.system), *messages]
