"""A conversation remembers whole exchanges, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import lorafw
from lorafw.errors import UsageError
from lorafw.testing.toys import toy_llama, toy_tokenizer
from lorafw.types import Message

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.inference.loaded import LoadedModel


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("talker")
    toy_llama().save_pretrained(folder)
    toy_tokenizer(chat=True).save_pretrained(folder)
    return lorafw.load(folder, device="cpu")


def test_every_turn_is_asked_behind_those_before(model: LoadedModel) -> None:
    talk = model.chat(system="fly", max_new_tokens=6)
    first = talk.say("the cat")
    second = talk.say("a bird")
    turns = [
        Message("system", "fly"),
        Message("user", "the cat"),
        Message("assistant", first),
        Message("user", "a bird"),
    ]
    assert second == model.generate(turns, max_new_tokens=6)
    assert talk.turns == [*turns[1:], Message("assistant", second)]


def test_pieces_are_the_answer(model: LoadedModel) -> None:
    said = model.chat(max_new_tokens=6).say("the cat")
    assert said == model.generate("the cat", max_new_tokens=6)
    assert "".join(model.chat(max_new_tokens=6).stream("the cat")) == said


def test_an_answer_that_is_given_up_is_not_remembered(model: LoadedModel) -> None:
    talk = model.chat(max_new_tokens=6)
    pieces = talk.stream("the cat")
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert talk.turns == []
    assert talk.say("a bird") == model.generate("a bird", max_new_tokens=6)


def test_reset_forgets_turns_and_keeps_the_systems_words(model: LoadedModel) -> None:
    talk = model.chat(system="fly", max_new_tokens=6)
    first = talk.say("the cat")
    talk.say("a bird")
    talk.reset()
    assert (talk.turns, talk.system) == ([], "fly")
    assert talk.say("the cat") == first


def test_a_conversation_that_fills_the_context_is_as_before(model: LoadedModel) -> None:
    talk = model.chat(max_new_tokens=3)
    talk.say("the cat")
    before = list(talk.turns)
    with pytest.raises(UsageError, match="context is 128"):
        talk.say("the cat " * 80)
    assert talk.turns == before


def test_a_model_of_single_prompts_remembers_nothing(toy: Path, model: LoadedModel) -> None:
    single = lorafw.load(toy, device="cpu").chat(max_new_tokens=3)
    assert (single.remembers, model.chat().remembers) == (False, True)
    single.say("the cat")
    with pytest.raises(UsageError, match="not conversations"):
        single.say("a bird")
