"""The template for programming tasks."""

from __future__ import annotations

from typing import ClassVar

from lorafw.builtin.templates.pair import Framed


class Code(Framed):
    """Instruction, input where there is one, and output under headings, for programs."""

    frame: ClassVar[str] = "### Instruction:\n{prompt}\n\n### Output:\n"
    frame_with_input: ClassVar[str] = (
        "### Instruction:\n{prompt}\n\n### Input:\n{input}\n\n### Output:\n"
    )
