"""The encoder of plain text, all of which is learned."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from lorafw.contracts import Encoder
from lorafw.data.rendering.layout import fit
from lorafw.data.rendering.row import Row
from lorafw.data.rendering.segments import Part, Segment, end, opening
from lorafw.data.rendering.tokens import opening_ids
from lorafw.errors import CompositionError
from lorafw.types import Encoded, Example, Task, TextExample, Tokenizer


class Text(Encoder):
    """Plain text, all of it trained, with the end-of-sequence token behind it.

    In front stands what the tokenizer puts before every text, such as BOS. A text that is too
    long loses its end, but the row still ends with the end-of-sequence token.
    """

    accepts: ClassVar[tuple[type[Example], ...]] = (TextExample,)
    task: ClassVar[Task] = Task.CAUSAL_LM

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        """The row as it is trained, or None when there is no text."""
        row = self._row(example, tokenizer)
        return row.encoded() if self.response(example) else None

    def prompt(self, example: Example, tokenizer: Tokenizer) -> Encoded:
        """The text without its end: the model is asked to go on."""
        row = self._row(example, tokenizer)
        return Row([*row.context, *row.answer[:-1]], [], row.cut).prompt()

    def _row(self, example: Example, tokenizer: Tokenizer) -> Row:
        if not isinstance(example, TextExample):
            kind = type(example).__name__
            raise CompositionError(f"the encoder takes TextExample, not {kind}.")
        text = Segment(self.response(example), Part.ANSWER, trained=True)
        last = replace(end(tokenizer), trained=True)
        return fit(opening(opening_ids(tokenizer)), [text, last], tokenizer, self)
