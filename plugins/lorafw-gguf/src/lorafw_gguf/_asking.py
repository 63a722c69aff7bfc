"""How the model was asked in training: its encoder, what stands before a text, what ends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lorafw.errors import ExportError
from lorafw.types import IGNORE_INDEX, PromptExample, Task

if TYPE_CHECKING:
    import gguf

    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.exporter import ExportRequest
    from lorafw.types import Tokenizer


def encoder_of(request: ExportRequest) -> Encoder:
    """The encoder that rendered the rows of training, or else the one that suits the model."""
    from lorafw.assembly.registry import Registry

    section: dict[str, Any] = dict(request.recipe.get("encoder") or {})
    name = section.pop("use", "") or request.builder.default_encoder(Task.CAUSAL_LM)
    part = Registry().load("encoder", name).from_mapping(section, where="encoder")
    return cast("Encoder", part)


def end_mark(encoder: Encoder, tokenizer: Tokenizer) -> int | None:
    """The special token that ended a trained answer; the end-of-sequence token if none is seen."""
    row = None
    if PromptExample in encoder.accepts:
        row = encoder.encode(PromptExample("a", "a"), tokenizer)
    trained = [label for label in row.labels if label != IGNORE_INDEX] if row else []
    special = [id_ for id_ in trained if not tokenizer.decode([id_], skip_special_tokens=True)]
    return special[-1] if special else tokenizer.eos_token_id


@dataclass(frozen=True, slots=True)
class Marks:
    """Special tokens, by id; None where there is none.

    Attributes:
        begin: of a text.
        end: of a text.
        turn: what ends an answer, where that is another.
        unknown: for what no token is for.
        pad: fills rows.
        adds_begin: `begin` is put before a text.
        adds_end: `end` is put behind it.
    """

    begin: int | None
    end: int | None
    turn: int | None
    unknown: int | None
    pad: int | None
    adds_begin: bool
    adds_end: bool

    def write(self, writer: gguf.GGUFWriter) -> None:
        """Put them into a file's header."""
        ids = {
            writer.add_bos_token_id: self.begin,
            writer.add_eos_token_id: self.end,
            writer.add_eot_token_id: self.turn,
            writer.add_unk_token_id: self.unknown,
            writer.add_pad_token_id: self.pad,
        }
        for add, number in ids.items():
            if number is not None:
                add(number)
        writer.add_add_bos_token(self.adds_begin)
        writer.add_add_eos_token(self.adds_end)


def marks_of(tokenizer: Tokenizer, turn: int | None) -> Marks:
    """The special tokens of a tokenizer.

    Args:
        tokenizer: whose.
        turn: what ended the answers of training.

    Raises:
        ExportError: it puts other tokens around a text than llama.cpp can.
    """
    before, behind = _around(tokenizer)
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    if before not in ([], [begin]) or behind not in ([], [end]):
        fault = "the tokenizer puts other tokens around a text than one BOS and one EOS."
        raise ExportError(fault, mend="Use exporter merged.")
    unknown = getattr(tokenizer, "unk_token_id", None)
    turn = None if turn == end else turn
    return Marks(begin, end, turn, unknown, tokenizer.pad_token_id, bool(before), bool(behind))


def _around(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Ids that the tokenizer puts before and behind a text."""
    plain = list(tokenizer.encode("a", add_special_tokens=False))
    whole = list(tokenizer.encode("a"))
    at = next(i for i in range(len(whole) + 1) if whole[i : i + len(plain)] == plain)
    return whole[:at], whole[at + len(plain) :]
