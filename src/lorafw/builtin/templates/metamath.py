"""The template for MetaMathQA."""

from __future__ import annotations

from typing import ClassVar

from lorafw.builtin.templates.pair import Framed


class MetaMath(Framed):
    """Instruction and response under headings, as for MetaMathQA."""

    frame: ClassVar[str] = "### Instruction:\n{prompt}\n\n### Response:\n"
