"""Answers grow together as each would alone, whenever they join and leave."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.inference.generation.answer import Answer
from lorafw.inference.generation.decoding import Decoding
from lorafw.inference.generation.sampling import Sampling
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.testing.toys import toy_bundle, toy_gpt2_bundle, toy_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from lorafw.contracts.model import ModelBundle

ROWS = [[1, 5, 9, 7, 11, 4, 6], [1, 6], [1, 12, 8, 4], [3], [1, 5, 9]]


class Plain:
    """A model without adapters."""

    def __init__(self, bundle: ModelBundle) -> None:
        self.bundle, self.mixed = bundle, True
        self.widths: list[int] = []

    def asked(self, adapters: Sequence[str | None]) -> AbstractContextManager[None]:
        self.widths.append(len(adapters))
        return nullcontext()


def mistral() -> ModelBundle:
    """A window shorter than the rows, so that padding could shift it."""
    from transformers import MistralConfig, MistralForCausalLM

    return _made(MistralForCausalLM, MistralConfig, sliding_window=4)


def mamba() -> ModelBundle:
    """A model whose memory is a state."""
    from transformers import MambaConfig, MambaForCausalLM

    return _made(MambaForCausalLM, MambaConfig, state_size=8)


def _made(model: Any, config: Any, **options: Any) -> ModelBundle:
    sizes = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.2,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TransformersBundle(model(config(**sizes, **options)), toy_tokenizer(), base="toy")


BUNDLES = {"llama": toy_bundle(), "gpt2": toy_gpt2_bundle(), "mistral": mistral()}


def answer(
    bundle: ModelBundle, row: Sequence[int], stops: Sequence[int] = (), **wishes: Any
) -> Answer:
    sampling = Sampling(**{"max_new_tokens": 12, **wishes})
    return Answer(row, stops, sampling, bundle.tokenizer, room=1000)


def alone(bundle: ModelBundle, row: Sequence[int], **wishes: Any) -> list[int]:
    found = answer(bundle, row, **wishes)
    finish(Decoding(Plain(bundle)), found)
    return found.ids


def finish(decoding: Decoding, *answers: Answer) -> None:
    for each in answers:
        decoding.add(each)
    while decoding.advance():
        pass


def greedy_by_hand(bundle: ModelBundle, row: Sequence[int], count: int) -> list[int]:
    """The likeliest token, one after the other, each from a fresh pass over all before it."""
    ids = list(row)
    with torch.no_grad():
        for _ in range(count):
            inputs = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids))}
            ids.append(int(bundle.logits(bundle.hidden(inputs).rows[0, -1]).argmax()))
    return ids[len(row) :]


@pytest.mark.parametrize("name", BUNDLES)
def test_an_answer_is_what_fresh_passes_give(name: str) -> None:
    bundle = BUNDLES[name]
    for row in ROWS[:3]:
        assert alone(bundle, row) == greedy_by_hand(bundle, row, 12)


@pytest.mark.parametrize("make", [mamba])
def test_a_model_without_keys_and_values_answers_one_by_one(
    make: Callable[[], ModelBundle],
) -> None:
    bundle = make()
    speakers, answers = Plain(bundle), [answer(bundle, row) for row in ROWS[:3]]
    finish(Decoding(speakers), *answers)
    assert set(speakers.widths) == {1}
    assert [each.ids for each in answers] == [greedy_by_hand(bundle, r, 12) for r in ROWS[:3]]


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(sorted(BUNDLES)),
    joins=st.lists(st.integers(0, 14), min_size=len(ROWS), max_size=len(ROWS)),
    lengths=st.lists(st.integers(1, 12), min_size=len(ROWS), max_size=len(ROWS)),
    heat=st.sampled_from([0.0, 1.0]),
    given_up=st.integers(0, len(ROWS)),
)
def test_answers_do_not_depend_on_their_company(
    name: str, joins: list[int], lengths: list[int], heat: float, given_up: int
) -> None:
    bundle, decoding = BUNDLES[name], Decoding(Plain(BUNDLES[name]))
    wishes = [{"max_new_tokens": n, "temperature": heat, "seed": n} for n in lengths]
    answers = [answer(bundle, row, **w) for row, w in zip(ROWS, wishes, strict=True)]
    for turn in range(40):
        for when, newcomer in zip(joins, answers, strict=True):
            if when == turn:
                decoding.add(newcomer)
        if turn == 5 and given_up < len(answers):
            decoding.give_up(answers[given_up])
        decoding.advance()
    for at, (row, wish, found) in enumerate(zip(ROWS, wishes, answers, strict=True)):
        whole = alone(bundle, row, **wish)
        if at == given_up:
            assert found.ids == whole[: len(found.ids)]
        else:
            assert found.ids == whole
    assert decoding.growing == 0 or given_up < len(answers)


def test_each_answer_ends_at_its_own_stop() -> None:
    bundle = BUNDLES["llama"]
    free = [alone(bundle, row) for row in ROWS[:3]]
    stops = [(free[0][2],), (), (free[2][4],)]
    answers = [answer(bundle, row, s) for row, s in zip(ROWS, stops, strict=False)]
    finish(Decoding(Plain(bundle)), *answers)
    first, last = free[0].index(free[0][2]), free[2].index(free[2][4])
    expected = [free[0][: first + 1], free[1], free[2][: last + 1]]
    assert [each.ids for each in answers] == expected
    assert [each.end for each in answers] == ["stop", "length", "stop"]


def test_a_batch_holds_no_more_tokens_than_it_may() -> None:
    bundle, speakers = BUNDLES["llama"], Plain(BUNDLES["llama"])
    answers = [answer(bundle, row, max_new_tokens=4) for row in ROWS]
    finish(Decoding(speakers, batch_tokens=2 * 11), *answers)
    assert max(speakers.widths) == 2
    assert [each.ids for each in answers] == [alone(bundle, r, max_new_tokens=4) for r in ROWS]


def test_adapters_that_cannot_be_mixed_take_turns() -> None:
    class Unmixed(Plain):
        def __init__(self, bundle: ModelBundle) -> None:
            super().__init__(bundle)
            self.mixed = False
            self.together: list[set[str | None]] = []

        def asked(self, adapters: Sequence[str | None]) -> AbstractContextManager[None]:
            self.together.append(set(adapters))
            return nullcontext()

    bundle = BUNDLES["llama"]
    speakers, answers = Unmixed(bundle), [answer(bundle, row) for row in ROWS]
    for each, name in zip(answers, ["a", "a", "b", "a", None], strict=True):
        each.adapter = name
    finish(Decoding(speakers), *answers)
    assert all(len(names) == 1 for names in speakers.together)
    assert all(each.end == "length" for each in answers)


def test_after_a_fault_a_cleared_decoding_goes_on() -> None:
    bundle = BUNDLES["llama"]
    decoding = Decoding(Plain(bundle))
    decoding.add(answer(bundle, ROWS[0]))
    decoding.advance()
    decoding.clear()
    found = answer(bundle, ROWS[1])
    finish(decoding, found)
    assert found.ids == alone(bundle, ROWS[1])
