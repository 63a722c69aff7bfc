"""The encoder of prompt and response pairs, for models without a chat template."""

from __future__ import annotations

from pydantic import Field

from lorafw.builtin.templates.pair import PairTemplate
from lorafw.data.rendering.segments import Border, Part, Segment
from lorafw.types import PromptExample


class Prompt(PairTemplate):
    """Prompt, separator, response and end-of-sequence token, as plain text."""

    separator: str = Field("\n", description="Text between prompt and response.")

    def written(self, pair: PromptExample) -> list[Segment]:
        """The prompt and the separator."""
        prompt = Segment(pair.whole_prompt, Part.TEXT, Border.GLUED)
        return [prompt, Segment(self.separator, Part.FIXED, Border.GLUED)]
