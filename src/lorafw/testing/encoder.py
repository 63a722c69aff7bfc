"""What an encoder promises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lorafw.contracts import Encoder
from lorafw.testing.component import ComponentContract
from lorafw.testing.examples import accepted, untaught
from lorafw.testing.promise import NotPromised
from lorafw.testing.toys import toy_tokenizer
from lorafw.types import (
    IGNORE_INDEX,
    ChatExample,
    Encoded,
    Example,
    Layout,
    Task,
    TextExample,
    Tokenizer,
)

_SHORT = (8, 11, 16, 29)
"""Lengths that cut every one of the long examples."""


class EncoderContract(ComponentContract, kind="encoder"):
    """Promises of an `Encoder`; the fixture is called `encoder`.

    An encoder of other kinds of examples than core's overrides `examples`, `long_examples` and
    `untaught_examples`.
    """

    def tokenizer(self, encoder: Encoder) -> Tokenizer:
        """The tokenizer to try the encoder with; it has a chat template if chats are accepted."""
        return toy_tokenizer(chat=ChatExample in encoder.accepts, adds_bos=True)

    def examples(self, encoder: Encoder) -> Sequence[Example]:
        """Examples of a few words that end with something to learn."""
        return accepted(encoder, [(2, 3), (1, 1), (5, 1)])

    def long_examples(self, encoder: Encoder) -> Sequence[Example]:
        """Examples with a long prompt, a long answer and both: over 40 tokens each."""
        return accepted(encoder, [(60, 2), (2, 60), (60, 60)])

    def untaught_examples(self, encoder: Encoder) -> Sequence[Example]:
        """Examples in which there is nothing to learn."""
        return untaught(encoder)

    def test_every_label_is_its_own_token_or_ignored(self, encoder: Encoder) -> None:
        _needs_answers(encoder)
        for row, _ in self._rows(encoder):
            assert len(row.labels) == len(row.input_ids), "labels and ids differ in length"
            for label, token in zip(row.labels, row.input_ids, strict=True):
                assert label in {token, IGNORE_INDEX}, f"label {label} stands on token {token}"

    def test_there_is_something_to_train(self, encoder: Encoder) -> None:
        assert all(row.targets > 0 for row, _ in self._rows(encoder)), "a row trains nothing"

    def test_a_row_with_nothing_to_train_is_none(self, encoder: Encoder) -> None:
        for example in self.untaught_examples(encoder):
            row = encoder.encode(example, self.tokenizer(encoder))
            assert row is None, f"{example} became {row}"

    def test_the_prompt_is_a_prefix_of_the_training_row(self, encoder: Encoder) -> None:
        _needs_answers(encoder)
        for row, prompt in [*self._rows(encoder), *self._cut_rows(encoder)]:
            given = list(prompt.input_ids)
            assert 0 < len(given) < len(row.input_ids), "prompt or answer is empty"
            assert list(row.input_ids[: len(given)]) == given, f"{given} begins no {row.input_ids}"

    def test_nothing_in_a_prompt_is_trained(self, encoder: Encoder) -> None:
        _needs_answers(encoder)
        for _, prompt in self._rows(encoder):
            assert set(prompt.labels) == {IGNORE_INDEX}, f"labels: {prompt.labels}"
            assert len(prompt.labels) == len(prompt.input_ids)

    def test_what_is_trained_reads_as_the_response_between_the_affixes(
        self, encoder: Encoder
    ) -> None:
        _needs_answers(encoder)
        tokenizer = self.tokenizer(encoder)
        before, behind = encoder.affixes(tokenizer)
        for example in self.examples(encoder):
            found = _taught(encoder, example, tokenizer)
            wanted = before + _round_trip(encoder.response(example), tokenizer) + behind
            assert _words(found) == _words(wanted), f"trained is {found!r}, not {wanted!r}"

    def test_bos_stands_in_front_at_most_once(self, encoder: Encoder) -> None:
        bos = self.tokenizer(encoder).bos_token_id
        for row, _ in self._rows(encoder):
            assert list(row.input_ids[:2]) != [bos, bos], "a row begins with two BOS tokens"

    def test_the_end_of_sequence_token_is_trained(self, encoder: Encoder) -> None:
        end = self._end(encoder)
        for row, _ in self._rows(encoder):
            assert list(row.input_ids[-len(end) :]) == end, f"the row ends otherwise than {end}"
            assert list(row.labels[-len(end) :]) == end, "the end is in the row, but not trained"

    def test_truncation_keeps_the_end_and_part_of_the_answer(self, encoder: Encoder) -> None:
        end = self._end(encoder)
        for row, _ in self._cut_rows(encoder):
            assert list(row.labels[-len(end) :]) == end, "truncation lost the end"
            assert row.targets > len(end), "truncation left nothing of the answer but its end"

    def test_truncation_obeys_max_length_and_says_what_it_cut(self, encoder: Encoder) -> None:
        tokenizer = self.tokenizer(encoder)
        for example in self.long_examples(encoder):
            whole = _encoded(_with(encoder, max_length=2**20), example, tokenizer)
            for limit in _SHORT:
                row = _encoded(_with(encoder, max_length=limit), example, tokenizer)
                assert len(row.input_ids) <= limit, f"{len(row.input_ids)} tokens, not {limit}"
                assert row.cut == len(whole.input_ids) - len(row.input_ids), "cut is not right"

    def test_prompt_and_response_obey_limits_of_their_own(self, encoder: Encoder) -> None:
        _needs_answers(encoder)
        tokenizer = self.tokenizer(encoder)
        short = _with(encoder, max_prompt_length=9, max_response_length=6)
        for example in self.long_examples(encoder):
            row, prompt = _encoded(short, example, tokenizer), short.prompt(example, tokenizer)
            answer = len(prompt.input_ids)
            if not isinstance(example, TextExample):
                assert answer <= 9, f"the prompt has {answer} tokens, not 9"
                assert len(row.input_ids) <= answer + 6, "the response is longer than its limit"

    def test_many_together_are_what_each_is_alone(self, encoder: Encoder) -> None:
        tokenizer = self.tokenizer(encoder)
        examples = [*self.examples(encoder), *self.long_examples(encoder)]
        together = encoder.encode_many(examples, tokenizer)
        for example, row in zip(examples, together, strict=True):
            assert row == encoder.encode(example, tokenizer), f"{example} differs among others"

    def test_layouts_hold_the_same_tokens_and_targets(self, encoder: Encoder) -> None:
        rows = [row for row, _ in self._rows(encoder)]
        pad = self.tokenizer(encoder).pad_token_id or 0
        flat = encoder.collate(rows, Layout.SEGMENTS, pad)
        padded = encoder.collate(rows, Layout.PADDED, pad)
        real = padded.inputs["attention_mask"].bool()
        ids = [token for row in rows for token in row.input_ids]
        assert flat.inputs["input_ids"].tolist() == ids, "segments do not hold the rows' tokens"
        assert padded.inputs["input_ids"][real].tolist() == ids, "padding hides or adds tokens"
        targets = sum(row.targets for row in rows)
        assert int((flat.labels != IGNORE_INDEX).sum()) == targets, "targets were lost or made"
        if encoder.task is Task.CLASSIFICATION:
            assert padded.labels.tolist() == flat.labels.tolist(), "labels differ by layout"
            return
        assert padded.labels[real].tolist() == flat.labels.tolist(), "labels differ by layout"
        assert (padded.labels[~real] == IGNORE_INDEX).all(), "padding is trained"

    def _end(self, encoder: Encoder) -> list[int]:
        """The ids behind every response; one of them must be a special token."""
        _needs_answers(encoder)
        tokenizer = self.tokenizer(encoder)
        end = tokenizer.encode(encoder.affixes(tokenizer)[1], add_special_tokens=False)
        special = [
            token for token in end if not tokenizer.decode([token], skip_special_tokens=True)
        ]
        assert special, "no special token tells that a response is over"
        return end

    def _rows(self, encoder: Encoder) -> list[tuple[Encoded, Encoded]]:
        return self._encode(encoder, self.examples(encoder))

    def _cut_rows(self, encoder: Encoder) -> Iterator[tuple[Encoded, Encoded]]:
        long = self.long_examples(encoder)
        for limit in _SHORT:
            for side in ("left", "right"):
                yield from self._encode(_with(encoder, max_length=limit, truncate=side), long)

    def _encode(
        self, encoder: Encoder, examples: Sequence[Example]
    ) -> list[tuple[Encoded, Encoded]]:
        tokenizer = self.tokenizer(encoder)
        return [(_encoded(encoder, e, tokenizer), encoder.prompt(e, tokenizer)) for e in examples]


def _needs_answers(encoder: Encoder) -> None:
    if encoder.task is not Task.CAUSAL_LM:
        raise NotPromised("its rows have a class, not an answer")


def _taught(encoder: Encoder, example: Example, tokenizer: Tokenizer) -> str:
    """The text of the answer's trained tokens; the mask must not begin before the answer."""
    row, prompt = _encoded(encoder, example, tokenizer), encoder.prompt(example, tokenizer)
    answer = 0 if isinstance(example, TextExample) else len(prompt.input_ids)
    everything = IGNORE_INDEX not in row.labels
    early = answer and not everything and row.labels[answer - 1] != IGNORE_INDEX
    assert not early, "what is trained begins before the answer"
    return tokenizer.decode([label for label in row.labels[answer:] if label != IGNORE_INDEX])


def _words(text: str) -> str:
    # Spaces between words come and go with the tokenizer's decoder.
    return "".join(text.split())


def _round_trip(text: str, tokenizer: Tokenizer) -> str:
    return tokenizer.decode(tokenizer.encode(text, add_special_tokens=False))


def _with(encoder: Encoder, **options: object) -> Encoder:
    return encoder.model_copy(update=options)


def _encoded(encoder: Encoder, example: Example, tokenizer: Tokenizer) -> Encoded:
    row = encoder.encode(example, tokenizer)
    assert row is not None, f"nothing of {example} is trained"
    return row
