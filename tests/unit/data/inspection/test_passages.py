"""Which part of a row each token is."""

from __future__ import annotations

from itertools import groupby

from lorafw.data.inspection.passages import parts
from lorafw.types import (
    ChatExample,
    Example,
    LabeledExample,
    Message,
    PreferenceExample,
    PromptExample,
    TextExample,
)


def told(texts: list[str], example: Example, answer: int) -> list[tuple[str, str]]:
    """Stretches of a row: the part and its text."""
    named = zip(parts(texts, example, answer), texts, strict=True)
    return [
        (part, "".join(text for _, text in tokens))
        for part, tokens in groupby(named, key=lambda pair: pair[0])
    ]


def test_a_prompt_its_input_and_the_response() -> None:
    texts = ["<s>", "Sum", " up", "\n", "1", " 2", "\n", "=", "3", "</s>"]
    assert told(texts, PromptExample("Sum up", "3", "1 2"), 8) == [
        ("template", "<s>"),
        ("prompt", "Sum up"),
        ("template", "\n"),
        ("input", "1 2"),
        ("template", "\n="),
        ("response", "3"),
        ("template", "</s>"),
    ]


def test_the_response_is_not_looked_for_in_the_prompt() -> None:
    texts = ["Is", " 3", " 3", "?", "\n", "3", "</s>"]
    found = told(texts, PromptExample("Is 3 3?", "3"), 5)
    assert found[-2:] == [("response", "3"), ("template", "</s>")]


def test_a_role_is_not_taken_for_what_is_said() -> None:
    texts = ["<", "user", ">", "use", "<", "bot", ">", "bo", "<e>"]
    example = ChatExample((Message("user", "use"), Message("assistant", "bo")))
    assert ("user", "use") in told(texts, example, 7)
    assert ("assistant", "bo") in told(texts, example, 7)


def test_a_passage_that_begins_within_a_token_is_found_too() -> None:
    texts = ["Q:", "\nHi", " you", "\nA:", " Yes", "</s>"]
    assert told(texts, PromptExample("Hi you", " Yes"), 4) == [
        ("template", "Q:"),
        ("prompt", "\nHi you"),
        ("template", "\nA:"),
        ("response", " Yes"),
        ("template", "</s>"),
    ]


def test_case_and_spaces_may_be_the_tokenizers_own() -> None:
    texts = ["[CLS]", " janet", " ’", " s", " d", "ucks", " [SEP]"]
    pair = LabeledExample("Janet’s  ducks", None, 0)
    assert parts(texts, pair, 7) == ["template", *["text"] * 5, "template"]


def test_tokens_that_hold_parts_of_a_character_go_with_it() -> None:
    assert parts(["<s>", "", "", "你", "\n", "a"], PromptExample("你", "a"), 5) == [
        "template",
        *["prompt"] * 3,
        "template",
        "response",
    ]


def test_what_cannot_be_told_is_left_to_the_sides() -> None:
    texts = ["<s>", "the end", " of it", "\n", "yes", "</s>"]
    cut = PromptExample("a long text that was cut, the end of it", "yes")
    assert parts(texts, cut, 4) == ["context"] * 4 + ["response", "answer"]
    other = PreferenceExample((Message("user", "?"),), (), ())
    assert parts(texts, other, 4) == ["context"] * 4 + ["answer"] * 2


def test_plain_text_and_pairs_of_texts() -> None:
    assert parts(["<s>", "a", " b"], TextExample("a b"), 0) == ["template", "text", "text"]
    pair = LabeledExample("same", "same", 1)
    texts = ["[CLS]", "same", "[SEP]", "same", "[SEP]"]
    assert parts(texts, pair, 5) == ["template", "text", "template", "text_pair", "template"]
