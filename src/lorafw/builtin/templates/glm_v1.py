"""The template of ChatGLM-6B, whose special tokens stand between prompt and response."""

from __future__ import annotations

from typing import ClassVar

from lorafw.builtin.templates.glm_marks import needed_start_marks
from lorafw.builtin.templates.pair import PairTemplate
from lorafw.data.rendering.segments import Border, Part, Segment, end
from lorafw.data.rendering.tokens import mark_id
from lorafw.types import PromptExample, Tokenizer


class GlmV1(PairTemplate):
    """Prompt, `[gMASK] <sop>`, response and `<eop>`, the order of ChatGLM-6B (the first).

    `<sop>` is given when the model is asked, so it is not trained: LoRA_GLM trains it, which
    teaches a choice that the model never has to make.
    """

    response_border: ClassVar[Border] = Border.FRESH

    def opening(self, tokenizer: Tokenizer) -> list[Segment]:
        """Nothing: the marks stand behind the prompt."""
        del tokenizer
        return []

    def written(self, pair: PromptExample) -> list[Segment]:
        """The prompt as it is."""
        return [Segment(pair.whole_prompt, Part.TEXT, Border.FRESH)]

    def closing(self, tokenizer: Tokenizer) -> list[Segment]:
        """`[gMASK]` and `<sop>`."""
        return [Segment("", Part.FIXED, ids=needed_start_marks(tokenizer))]

    def end(self, tokenizer: Tokenizer) -> Segment:
        """`<eop>`, or the end-of-sequence token where the tokenizer has no such mark."""
        found = mark_id(tokenizer, "<eop>")
        return end(tokenizer) if found is None else Segment("", Part.END, ids=(found,))
