"""What an encoder promises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lorafw.contracts import Encoder
from lorafw.testing.component import ComponentContract
from lorafw.testing.promise import NotPromised
from lorafw.testing.toys import WORDS, toy_tokenizer
from lorafw.types import (
    IGNORE_INDEX,
    ChatExample,
    Encoded,
    Example,
    Layout,
    Message,
    PromptExample,
    Tokenizer,
)

_SHORT = (8, 11, 16, 29)
"""Lengths that cut every one of the long examples."""


class EncoderContract(ComponentContract, kind="encoder"):
    """Promises of an `Encoder`; the fixture is called `encoder`.

    An encoder of other kinds of examples than core's overrides `examples` and `long_examples`.
    """

    def tokenizer(self, encoder: Encoder) -> Tokenizer:
        """The tokenizer to try the encoder with; it has a chat template if chats are accepted."""
        return toy_tokenizer(chat=ChatExample in encoder.accepts)

    def examples(self, encoder: Encoder) -> Sequence[Example]:
        """Examples of a few words that end with something to learn."""
        return list(_accepted(encoder, [(2, 3), (1, 1), (5, 1)]))

    def long_examples(self, encoder: Encoder) -> Sequence[Example]:
        """Examples with a long prompt, a long answer and both: over 40 tokens each."""
        return list(_accepted(encoder, [(60, 2), (2, 60), (60, 60)]))

    def test_every_label_is_its_own_token_or_ignored(self, encoder: Encoder) -> None:
        for row, _ in self._rows(encoder):
            assert len(row.labels) == len(row.input_ids), "labels and ids differ in length"
            for label, token in zip(row.labels, row.input_ids, strict=True):
                assert label in {token, IGNORE_INDEX}, f"label {label} stands on token {token}"

    def test_there_is_something_to_train(self, encoder: Encoder) -> None:
        assert all(row.targets > 0 for row, _ in self._rows(encoder)), "a row trains nothing"

    def test_the_prompt_is_a_prefix_of_the_training_row(self, encoder: Encoder) -> None:
        for row, prompt in [*self._rows(encoder), *self._cut_rows(encoder)]:
            given = list(prompt.input_ids)
            assert 0 < len(given) < len(row.input_ids), "prompt or answer is empty"
            assert list(row.input_ids[: len(given)]) == given, f"{given} begins no {row.input_ids}"

    def test_nothing_in_a_prompt_is_trained(self, encoder: Encoder) -> None:
        for _, prompt in self._rows(encoder):
            assert set(prompt.labels) == {IGNORE_INDEX}, f"labels: {prompt.labels}"
            assert len(prompt.labels) == len(prompt.input_ids)

    def test_the_end_of_sequence_token_is_trained(self, encoder: Encoder) -> None:
        eos = self.tokenizer(encoder).eos_token_id
        for row, _ in self._rows(encoder):
            assert row.input_ids[-1] == eos, f"the row ends with {row.input_ids[-1]}, not {eos}"
            assert row.labels[-1] == eos, "the end is in the row, but not trained"

    def test_truncation_keeps_the_end_and_part_of_the_answer(self, encoder: Encoder) -> None:
        eos = self.tokenizer(encoder).eos_token_id
        for row, _ in self._cut_rows(encoder):
            assert row.labels[-1] == eos, "truncation lost the end-of-sequence token"
            assert row.targets >= 2, "truncation left nothing of the answer but its end"

    def test_truncation_obeys_max_length_and_says_what_it_cut(self, encoder: Encoder) -> None:
        tokenizer = self.tokenizer(encoder)
        for example in self.long_examples(encoder):
            whole = _encoded(_up_to(encoder, 2**20), example, tokenizer)
            for limit in _SHORT:
                row = _encoded(_up_to(encoder, limit), example, tokenizer)
                assert len(row.input_ids) <= limit, f"{len(row.input_ids)} tokens, not {limit}"
                assert row.cut == len(whole.input_ids) - len(row.input_ids), "cut is not right"

    def test_layouts_hold_the_same_tokens_and_targets(self, encoder: Encoder) -> None:
        rows = [row for row, _ in self._rows(encoder)]
        pad = self.tokenizer(encoder).pad_token_id or 0
        flat = encoder.collate(rows, Layout.SEGMENTS, pad)
        padded = encoder.collate(rows, Layout.PADDED, pad)
        real = padded.inputs["attention_mask"].bool()
        ids = [token for row in rows for token in row.input_ids]
        assert flat.inputs["input_ids"].tolist() == ids, "segments do not hold the rows' tokens"
        assert padded.inputs["input_ids"][real].tolist() == ids, "padding hides or adds tokens"
        assert padded.labels[real].tolist() == flat.labels.tolist(), "labels differ by layout"
        assert (padded.labels[~real] == IGNORE_INDEX).all(), "padding is trained"
        targets = sum(row.targets for row in rows)
        assert int((flat.labels != IGNORE_INDEX).sum()) == targets, "targets were lost or made"

    def _rows(self, encoder: Encoder) -> list[tuple[Encoded, Encoded]]:
        return self._encode(encoder, self.examples(encoder))

    def _cut_rows(self, encoder: Encoder) -> list[tuple[Encoded, Encoded]]:
        long = self.long_examples(encoder)
        return [pair for limit in _SHORT for pair in self._encode(_up_to(encoder, limit), long)]

    def _encode(
        self, encoder: Encoder, examples: Sequence[Example]
    ) -> list[tuple[Encoded, Encoded]]:
        tokenizer = self.tokenizer(encoder)
        return [(_encoded(encoder, e, tokenizer), encoder.prompt(e, tokenizer)) for e in examples]


def _accepted(encoder: Encoder, lengths: Sequence[tuple[int, int]]) -> Iterator[Example]:
    """Examples of every kind of core's that the encoder accepts; lengths are in words."""
    if not {PromptExample, ChatExample} & set(encoder.accepts):
        raise NotPromised("it accepts none of core's examples: override `examples`")
    for prompt, response in lengths:
        asked, said = _words(prompt, 0), _words(response, 7)
        if PromptExample in encoder.accepts:
            yield PromptExample(asked, said)
        if ChatExample in encoder.accepts:
            question, answer = Message("user", asked), Message("assistant", said)
            yield ChatExample((question, answer))
            yield ChatExample((Message("system", "a cat"), question, answer, question, answer))


def _words(count: int, start: int) -> str:
    return " ".join(WORDS[(start + i) % len(WORDS)] for i in range(count))


def _up_to(encoder: Encoder, length: int) -> Encoder:
    return encoder.model_copy(update={"max_length": length})


def _encoded(encoder: Encoder, example: Example, tokenizer: Tokenizer) -> Encoded:
    row = encoder.encode(example, tokenizer)
    assert row is not None, f"nothing of {example} is trained"
    return row
