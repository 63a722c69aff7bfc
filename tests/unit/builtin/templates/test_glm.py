"""The conversations of ChatGLM2, ChatGLM3 and GLM-4."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.builtin.templates.glm import Glm
from lorafw.errors import ConfigError, DataError, ModelError
from lorafw.types import ChatExample, Encoded, Message, PromptExample

TALK = ChatExample(
    (
        Message("user", "你好"),
        Message("assistant", "用户你好"),
        Message("user", "How many?"),
        Message("assistant", "72"),
    )
)


def encoded(example: Any, tokenizer: Any, **options: Any) -> Encoded:
    row = Glm.from_mapping(options, where="encoder").encode(example, tokenizer)
    assert row is not None
    return row


def plain(tokenizer: Any, *pieces: str | int) -> list[int]:
    """Ids of texts, each tokenised as a text of its own, and of ids."""
    return [
        token
        for piece in pieces
        for token in (
            [piece] if isinstance(piece, int) else tokenizer.encode(piece, add_special_tokens=False)
        )
    ]


def test_chatglm2_asks_in_rounds(glm2_tokenizer: Any) -> None:
    mask, sop = glm2_tokenizer.convert_tokens_to_ids(["[gMASK]", "sop"])
    first = plain(glm2_tokenizer, mask, sop, "[Round 1]\n\n问：你好\n\n答：")
    asked = Glm().prompt(PromptExample("你好", ""), glm2_tokenizer)
    assert list(asked.input_ids) == first
    row = encoded(TALK, glm2_tokenizer)
    assert list(row.input_ids) == [
        *first,
        *plain(glm2_tokenizer, "用户你好", 2),
        *plain(glm2_tokenizer, "\n\n[Round 2]\n\n问：How many?\n\n答：", "72", 2),
    ]
    assert glm2_tokenizer.decode([label for label in row.labels if label >= 0]) == (
        "用户你好</s> 72</s>"
    )


def test_chatglm3_has_a_token_for_each_role(glm3_tokenizer: Any) -> None:
    names = ["[gMASK]", "sop", "<|system|>", "<|user|>", "<|assistant|>"]
    mask, sop, system, user, assistant = glm3_tokenizer.convert_tokens_to_ids(names)
    row = encoded(ChatExample((Message("system", "Hi"), *TALK.messages[:2])), glm3_tokenizer)
    given = (mask, sop, system, "\n", "Hi", user, "\n", "你好", assistant, "\n")
    assert list(row.input_ids) == plain(glm3_tokenizer, *given, "用户你好", 2)
    answer = len(plain(glm3_tokenizer, *given))
    assert list(row.labels[answer:]) == list(row.input_ids[answer:])
    assert set(row.labels[:answer]) == {-100}


def test_a_tool_speaks_as_observation(glm3_tokenizer: Any) -> None:
    talk = ChatExample((Message("user", "q"), Message("tool", "{}"), Message("assistant", "a")))
    row = encoded(talk, glm3_tokenizer)
    assert glm3_tokenizer.convert_tokens_to_ids("<|observation|>") in row.input_ids


def test_glm4_calls_its_mark_sop_in_brackets(byte_tokenizer: Any) -> None:
    row = encoded(PromptExample("How", "72"), byte_tokenizer, generation="plain")
    mask, sop = byte_tokenizer.convert_tokens_to_ids(["[gMASK]", "<sop>"])
    assert list(row.input_ids) == plain(byte_tokenizer, mask, sop, "How", "72", 1)


def test_the_marks_stand_in_front_once_even_if_the_tokenizer_adds_them(
    glm2_tokenizer: Any,
) -> None:
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    marks = [(each, glm2_tokenizer.convert_tokens_to_ids(each)) for each in ("[gMASK]", "sop")]
    backend = Tokenizer.from_str(glm2_tokenizer.backend_tokenizer.to_str())
    backend.post_processor = TemplateProcessing("[gMASK] sop $A", special_tokens=marks)
    adding = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>")
    assert adding.encode("a")[:2] == [number for _, number in marks]
    for generation in ("chatglm2", "plain"):
        row = encoded(PromptExample("How", "72"), adding, generation=generation)
        assert row == encoded(PromptExample("How", "72"), glm2_tokenizer, generation=generation)
        assert [row.input_ids.count(number) for _, number in marks] == [1, 1]


def test_marks_are_not_read_from_the_middle_of_a_word_of_ours(glm3_tokenizer: Any) -> None:
    row = encoded(TALK, glm3_tokenizer)
    assert row.input_ids.count(glm3_tokenizer.convert_tokens_to_ids("[gMASK]")) == 1


def test_a_tokenizer_of_another_family_is_refused(llama_tokenizer: Any) -> None:
    with pytest.raises(ModelError, match=r"no \[gMASK\].*encoder\.use=prompt"):
        encoded(TALK, llama_tokenizer)


def test_roles_need_their_tokens(glm2_tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match=r"no <\|user\|>.*glm4"):
        encoded(TALK, glm2_tokenizer, generation="glm4")


def test_roles_and_tools_without_a_place_are_refused(glm2_tokenizer: Any) -> None:
    tool = ChatExample((Message("tool", "{}"), Message("assistant", "a")))
    with pytest.raises(DataError, match=r"role 'tool'.*system, user, assistant"):
        encoded(tool, glm2_tokenizer)
    with pytest.raises(DataError, match="tools"):
        encoded(ChatExample(TALK.messages, tools='[{"name": "f"}]'), glm2_tokenizer)


def test_a_cut_conversation_keeps_its_marks_and_what_calls_for_the_answer(
    glm3_tokenizer: Any,
) -> None:
    long = ChatExample((*TALK.messages[:2], Message("user", "many " * 60), TALK.messages[3]))
    for side in ("left", "right"):
        encoder = Glm.from_mapping({"max_length": 32, "truncate": side}, where="encoder")
        asked = list(encoder.prompt(long, glm3_tokenizer).input_ids)
        marks = glm3_tokenizer.convert_tokens_to_ids(["[gMASK]", "sop"])
        assistant = glm3_tokenizer.convert_tokens_to_ids("<|assistant|>")
        assert asked[:2] == marks
        assert asked[-3:] == plain(glm3_tokenizer, assistant, "\n")
