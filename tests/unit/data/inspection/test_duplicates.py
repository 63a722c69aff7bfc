"""Rows that are there twice."""

from __future__ import annotations

from lorafw.data.inspection.duplicates import duplicates, question
from lorafw.types import (
    ChatExample,
    Example,
    LabeledExample,
    Message,
    PreferenceExample,
    PromptExample,
    TextExample,
)


def chat(*contents: str) -> ChatExample:
    roles = ("user", "assistant") * len(contents)
    return ChatExample(tuple(map(Message, roles, contents)))


def test_copies_and_questions_asked_again_are_told_apart() -> None:
    train = [PromptExample(*pair) for pair in (("a", "1"), ("b", "2"), ("a", "1"), (" A\n", "3"))]
    held_out = [PromptExample("b", "2"), PromptExample("B", "9"), PromptExample("c", "1")]
    found = duplicates(train, held_out)
    assert (found.copies, found.asked_again) == ((3,), (4,))
    assert (found.held_out_copies, found.held_out_asked) == ((1,), (2,))


def test_nothing_twice() -> None:
    found = duplicates([TextExample("a"), TextExample("b")], [])
    assert not any((found.copies, found.asked_again, found.held_out_copies, found.held_out_asked))


def test_what_an_example_asks() -> None:
    assert question(chat("Hi", "yes")) == question(chat("hi ", "no"))
    assert question(chat("Hi", "yes", "And?", "a")) == question(chat("Hi", "yes", "and?", "b"))
    assert question(chat("Hi", "yes", "And?", "a")) != question(chat("Hi", "no", "And?", "a"))
    assert question(chat("Hi")) != question(chat("Ho"))
    assert question(LabeledExample("a", "b", 0)) == question(LabeledExample("A", "b", 1))
    assert question(PromptExample("a", "", "1")) != question(PromptExample("a", "", "2"))


def test_an_example_that_asks_nothing_is_its_own_question() -> None:
    for example in (ChatExample((Message("assistant", "Hi"),)), PreferenceExample((), (), ())):
        other: Example = ChatExample((Message("assistant", "Ho"),))
        assert question(example) == example
        assert question(example) != question(other)
