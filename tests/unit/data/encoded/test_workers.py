"""Portions made by other processes are those made here."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.builtin.prompt import Prompt
from lorafw.data.encoded import workers
from lorafw.data.encoded.encoding import encode_all
from lorafw.data.encoded.packed import PackedRows
from lorafw.data.encoded.portion import SIZE, PortionMaker
from lorafw.errors import DataError
from lorafw.testing.toys import WORDS, toy_tokenizer
from lorafw.types import Encoded, Example, PromptExample, Split, Tokenizer

EXAMPLES = [PromptExample(WORDS[at % 17], WORDS[at % 5]) for at in range(3 * SIZE + 7)]
STARTS = range(0, len(EXAMPLES), SIZE)


class Picky(Prompt):
    """Refuses one word."""

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        assert isinstance(example, PromptExample)
        if example.prompt == "refused":
            raise DataError("refused.", where="rows.jsonl:9")
        return super().encode(example, tokenizer)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_cores", lambda: 2)


def rows(portions: Any) -> list[Encoded]:
    return list(PackedRows(portion.batch for portion in portions))


def test_other_processes_make_the_same_rows_in_the_same_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    maker = PortionMaker(Prompt(), toy_tokenizer(), Split.TRAIN)
    here = [maker.portion(EXAMPLES[at : at + SIZE], at + 1) for at in STARTS]
    monkeypatch.setattr(PortionMaker, "portion", None)  # nothing more is made in this process
    there = list(workers.portions(EXAMPLES, maker, STARTS))
    assert rows(there) == rows(here)
    assert [portion.report for portion in there] == [portion.report for portion in here]


def test_an_error_there_is_met_here_with_its_row() -> None:
    examples = [*EXAMPLES[: SIZE + 2], PromptExample("refused", "a"), *EXAMPLES[SIZE + 3 :]]
    maker = PortionMaker(Picky(), toy_tokenizer(), Split.TRAIN)
    place = rf"rows.jsonl:9: refused. \(row {SIZE + 3} of split 'train'\)"
    with pytest.raises(DataError, match=place):
        list(workers.portions(examples, maker, STARTS))


def test_processes_are_started_when_much_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = workers.portions

    def watched(examples: Any, maker: Any, starts: Any) -> Any:
        asked.extend(starts)
        return real(examples, maker, starts)

    monkeypatch.setattr(workers, "portions", watched)
    monkeypatch.setattr(workers, "_cores", lambda: 1)
    maker = PortionMaker(Prompt(), toy_tokenizer(), Split.TRAIN)
    batches: list[Any] = []
    account = encode_all(EXAMPLES, maker, batches.append)
    assert asked == []
    monkeypatch.setattr("lorafw.data.encoded.encoding.WORTH", 0.0)
    again: list[Any] = []
    assert encode_all(EXAMPLES, maker, again.append) == account
    assert asked == list(STARTS[2:])
    assert list(PackedRows(again)) == list(PackedRows(batches))


def test_what_no_process_could_know_is_encoded_here() -> None:
    class Local(Prompt):
        """Cannot be pickled."""

    maker = PortionMaker(Local(), toy_tokenizer(), Split.TRAIN)
    plain = PortionMaker(Prompt(), maker.tokenizer, Split.TRAIN)
    there = rows(workers.portions(EXAMPLES, maker, STARTS))
    assert there == rows(plain.portion(EXAMPLES[at : at + SIZE], 1) for at in STARTS)
