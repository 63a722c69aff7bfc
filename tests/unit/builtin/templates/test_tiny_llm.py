"""The conversations of tiny-LLM."""

from __future__ import annotations

from typing import Any

from lorafw.builtin.templates.tiny_llm import TinyLlm
from lorafw.types import ChatExample, Message, PromptExample


def test_a_question_stands_behind_the_system_line(glm3_tokenizer: Any) -> None:
    row = TinyLlm(system="助手。").encode(PromptExample("你好", "How"), glm3_tokenizer)
    assert row is not None
    names = ["[gMASK]", "sop", "<|system|>", "<|user|>", "<|assistant|>"]
    mask, sop, system, user, assistant = glm3_tokenizer.convert_tokens_to_ids(names)

    def ids(text: str) -> list[int]:
        found: list[int] = glm3_tokenizer.encode(text, add_special_tokens=False)
        return found

    given = [mask, sop, system, *ids("\n助手。\n"), user, *ids("\n你好\n"), assistant, *ids("\n")]
    assert list(row.input_ids) == [*given, *ids("How"), 2]
    assert [label for label in row.labels if label >= 0] == [*ids("How"), 2]


def test_a_system_mark_that_is_unknown_is_written_as_text(glm2_tokenizer: Any) -> None:
    asked = TinyLlm(system="助手。").prompt(PromptExample("你好", ""), glm2_tokenizer)
    text = "<|system|>\n助手。\n<|user|>\n你好\n<|assistant|>\n"
    marks = glm2_tokenizer.convert_tokens_to_ids(["[gMASK]", "sop"])
    assert glm2_tokenizer.decode(asked.input_ids[2:]).split() == text.split()
    assert list(asked.input_ids[:2]) == marks


def test_a_system_line_of_the_conversation_takes_the_place_of_the_default(
    glm3_tokenizer: Any,
) -> None:
    own = ChatExample((Message("system", "Hi"), Message("user", "q"), Message("assistant", "a")))
    row, other = (
        TinyLlm().encode(own, glm3_tokenizer),
        TinyLlm(system="Hi").encode(ChatExample(own.messages[1:]), glm3_tokenizer),
    )
    assert row is not None
    assert row == other


def test_without_a_system_line_there_is_none(glm3_tokenizer: Any) -> None:
    asked = TinyLlm(system="").prompt(PromptExample("q", ""), glm3_tokenizer)
    assert "<|system|>" not in glm3_tokenizer.decode(asked.input_ids)


def test_each_turn_is_trained(glm3_tokenizer: Any) -> None:
    turns = tuple(map(Message, ("user", "assistant") * 2, "abcd"))
    row = TinyLlm().encode(ChatExample(turns), glm3_tokenizer)
    assert row is not None
    trained = [label for label in row.labels if label >= 0]
    assert glm3_tokenizer.decode(trained).replace(" ", "") == "b</s>d</s>"
