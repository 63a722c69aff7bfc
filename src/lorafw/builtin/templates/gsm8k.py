"""The template for GSM8K."""

from __future__ import annotations

from typing import ClassVar

from lorafw.builtin.templates.pair import Framed


class Gsm8k(Framed):
    """A question, and an answer that is led step by step, as for GSM8K."""

    frame: ClassVar[str] = "Question: {prompt}\n\nAnswer: Let's solve this step by step.\n"
