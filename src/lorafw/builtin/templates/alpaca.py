"""Alpaca's template."""

from __future__ import annotations

from typing import ClassVar

from lorafw.builtin.templates.pair import Framed


class Alpaca(Framed):
    """Alpaca's preamble, instruction, input where there is one, and response."""

    frame: ClassVar[str] = (
        "Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n{prompt}\n\n### Response:\n"
    )
    frame_with_input: ClassVar[str] = (
        "Below is an instruction that describes a task, paired with an input that provides "
        "further context. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n{prompt}\n\n### Input:\n{input}\n\n### Response:\n"
    )
