"""The conversations of ChatGLM2, ChatGLM3 and GLM-4."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from lorafw.builtin.templates.glm_marks import needed_start_marks, opening_marks
from lorafw.builtin.templates.marked import Form, MarkedConversation
from lorafw.data.rendering.segments import Segment, opening
from lorafw.data.rendering.tokens import mark_id
from lorafw.errors import ConfigError
from lorafw.types import Tokenizer

Generation = Literal["chatglm2", "chatglm3", "glm4", "plain"]

_ROUNDS = Form(
    {"system": "", "user": "[Round {round}]\n\n问：", "assistant": "\n\n答："},
    {"system": "\n\n", "assistant": "\n\n"},
)
_ROLES = Form(
    {
        "system": "<|system|>\n",
        "user": "<|user|>\n",
        "assistant": "<|assistant|>\n",
        "tool": "<|observation|>\n",
    },
    glued=False,
)
_PLAIN = Form({"system": "", "user": "", "assistant": ""}, {"system": "\n", "assistant": "\n"})
_FORMS: Mapping[Generation, Form] = MappingProxyType(
    {"chatglm2": _ROUNDS, "chatglm3": _ROLES, "glm4": _ROLES, "plain": _PLAIN}
)


class Glm(MarkedConversation):
    """Conversations of ChatGLM2, ChatGLM3 and GLM-4: `[gMASK] sop` in front, EOS behind.

    Texts are tokenised as GLM's own tokenizers do it: role, newline and message apart in ChatGLM3
    and GLM-4, question and its frame in one go in ChatGLM2.
    """

    generation: Literal["auto", "chatglm2", "chatglm3", "glm4", "plain"] = Field(
        "auto",
        description="Rounds of questions (chatglm2), role tokens (chatglm3, glm4) or nothing but "
        "the texts (plain); auto goes by the tokenizer's special tokens.",
    )

    def form(self, tokenizer: Tokenizer) -> Form:
        """The form of the generation; raises ConfigError when the tokenizer has not its tokens."""
        knows_roles = mark_id(tokenizer, "<|user|>") is not None
        if self.generation == "auto":
            return _FORMS["chatglm3" if knows_roles else "chatglm2"]
        if self.generation in {"chatglm3", "glm4"} and not knows_roles:
            raise ConfigError(
                f"the tokenizer has no <|user|>, which {self.generation} needs.",
                where="encoder.generation",
                mend="Leave it at auto.",
            )
        return _FORMS[self.generation]

    def opening(self, tokenizer: Tokenizer) -> list[Segment]:
        """`[gMASK]` and `sop`; in plain form what the tokenizer has in their place."""
        marks = opening_marks if self.generation == "plain" else needed_start_marks
        return opening(marks(tokenizer))
