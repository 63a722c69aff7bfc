"""LoRA_GLM's template: instruction, input and answer in GLM's order."""

from __future__ import annotations

from typing import ClassVar

from lorafw.builtin.templates.glm_marks import opening_marks
from lorafw.builtin.templates.pair import Framed
from lorafw.data.rendering.segments import Border, Segment, opening
from lorafw.types import PromptExample, Tokenizer

_FIRST, _LAST = "Instruction: ", "\nAnswer: "


class GlmInstruction(Framed):
    """Instruction, input and answer for ChatGLM2 and later, `[gMASK] sop` in front.

    A prompt that is written so already, as in LoRA_GLM's `context`, is not framed again. Prompt
    and response are each tokenised as a text of its own, as GLM's tokenizer does. Where the
    tokenizer has no `[gMASK]`, its own opening stands in front.
    """

    frame: ClassVar[str] = "Instruction: {prompt}\nAnswer: "
    frame_with_input: ClassVar[str] = "Instruction: {prompt}\nInput: {input}\nAnswer: "
    response_border: ClassVar[Border] = Border.FRESH

    def opening(self, tokenizer: Tokenizer) -> list[Segment]:
        """`[gMASK]` and `sop` where the tokenizer has them."""
        return opening(opening_marks(tokenizer))

    def written(self, pair: PromptExample) -> list[Segment]:
        """The frame, around a prompt that does not carry it yet."""
        return super().written(_unframed(pair))


def _unframed(pair: PromptExample) -> PromptExample:
    bare = pair.prompt.removeprefix(_FIRST).removesuffix(_LAST)
    if pair.input or len(bare) != len(pair.prompt) - len(_FIRST) - len(_LAST):
        return pair
    return PromptExample(bare, pair.response)
