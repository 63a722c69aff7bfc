"""MiniMind's templates, against its own tokenizers' and what its training script masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lorafw.builtin.chat import Chat
from lorafw.builtin.templates.minimind import MiniMind2026, MiniMind202502, MiniMind202504
from lorafw.data.rendering.turns import template_turn
from lorafw.errors import DataError
from lorafw.types import ChatExample, Encoded, Message, PromptExample, ToolCall

LINE = "你是 MiniMind，是一个有用的人工智能助手。"
TALK = ChatExample(
    (
        Message("user", "hi"),
        Message("assistant", "Hello!"),
        Message("user", "你是谁"),
        Message("assistant", "MiniMind\n"),
    )
)
TOOLS = '[{"name": "weather", "parameters": {"city": "城"}}]'


@pytest.fixture(scope="module")
def old_tokenizer(shared: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(shared / "data/tokenizers/minimind-2025-02")


@pytest.fixture(scope="module")
def new_tokenizer(shared: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(shared / "data/tokenizers/minimind-2026")


def encoded(encoder: Any, example: Any, tokenizer: Any) -> Encoded:
    row: Encoded | None = encoder.encode(example, tokenizer)
    assert row is not None
    return row


def trained(row: Encoded, tokenizer: Any) -> str:
    return str(tokenizer.decode([label for label in row.labels if label >= 0]))


def rendered(example: ChatExample, tokenizer: Any, **options: Any) -> str:
    turns = [{"role": turn.role, "content": turn.content} for turn in example.messages]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, **options))


def test_2025_02_writes_what_its_tokenizer_writes(old_tokenizer: Any) -> None:
    row = encoded(MiniMind202502(), TALK, old_tokenizer)
    text = rendered(TALK, old_tokenizer)
    assert text.startswith(f"<s>system\n{LINE}</s>\n<s>user\nhi</s>\n<s>assistant\nHello!</s>\n")
    assert list(row.input_ids) == old_tokenizer.encode(text, add_special_tokens=False)


def test_2025_02_trains_answer_end_and_newline(old_tokenizer: Any) -> None:
    row = encoded(MiniMind202502(), TALK, old_tokenizer)
    assert trained(row, old_tokenizer) == "Hello!</s>\nMiniMind\n</s>\n"
    header = old_tokenizer.encode("<s>assistant", add_special_tokens=False)
    assert header == [1, 1078, 538, 501]


def test_2025_02_masks_what_upstreams_rule_masks(old_tokenizer: Any, shared: Path) -> None:
    start, end = [1, 1078, 538, 501], [2]
    lines = (shared / "data/identity/lora_identity.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines[:40]:
        turns = json.loads(line)["conversations"]
        example = ChatExample(tuple(Message(turn["role"], turn["content"]) for turn in turns))
        row = encoded(MiniMind202502(), example, old_tokenizer)
        ids = list(row.input_ids)
        at = next(at for at in range(len(ids)) if ids[at : at + 4] == start) + len(start) + 1
        stop = ids.index(end[0], at) + 2
        assert [where for where, label in enumerate(row.labels) if label >= 0] == [*range(at, stop)]


def test_2025_04_is_chatml_with_a_system_line(byte_tokenizer: Any) -> None:
    row = encoded(MiniMind202504(), PromptExample("q", "a"), byte_tokenizer)
    assert byte_tokenizer.decode(row.input_ids) == (
        "<|im_start|>system\nYou are a helpful assistant<|im_end|>\n"
        "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n"
    )
    assert trained(row, byte_tokenizer) == "a<|im_end|>\n"


@pytest.mark.parametrize("tools", ["", TOOLS])
@pytest.mark.parametrize("system", ["", "Be kind."])
def test_2026_writes_what_its_tokenizer_writes(new_tokenizer: Any, system: str, tools: str) -> None:
    front = (Message("system", system),) if system else ()
    called = (Message("user", "r"), Message("tool", "{}"), Message("tool", "[]"))
    example = ChatExample((*front, *TALK.messages, *called, Message("assistant", "b")), tools)
    functions = json.loads(tools) if tools else None
    row = encoded(MiniMind2026(), example, new_tokenizer)
    text = rendered(example, new_tokenizer, tools=functions)
    assert new_tokenizer.decode(row.input_ids) == text
    asked = MiniMind2026().prompt(example, new_tokenizer)
    waiting = ChatExample(example.messages[:-1])
    assert new_tokenizer.decode(asked.input_ids) == rendered(
        waiting, new_tokenizer, tools=functions, add_generation_prompt=True
    )


@pytest.mark.parametrize("said", ["", "Let me see."])
def test_2026_writes_calls_as_its_tokenizer_does(new_tokenizer: Any, said: str) -> None:
    calls = (ToolCall("weather", '{"city": "城"}'), ToolCall("time"))
    asks = Message("assistant", said, tool_calls=calls)
    answers = (Message("tool", "20", name="weather"), Message("tool", "noon"))
    example = ChatExample((Message("user", "q"), asks, *answers, Message("assistant", "b")), TOOLS)
    row, own = (
        encoded(MiniMind2026(), example, new_tokenizer),
        Chat().encode(example, new_tokenizer),
    )
    assert own is not None
    text = new_tokenizer.decode(row.input_ids)
    assert text == new_tokenizer.decode(own.input_ids) + "\n"
    assert text == new_tokenizer.apply_chat_template(
        [template_turn(turn) for turn in example.messages], tokenize=False, tools=json.loads(TOOLS)
    )
    called = '<tool_call>\n{"name": "weather", "arguments": {"city": "城"}}\n</tool_call>\n'
    assert trained(row, new_tokenizer).startswith(f"{said}\n{called}".lstrip() + "<tool_call>\n")


def test_2026_asks_behind_an_empty_thought_or_trains_thoughts(new_tokenizer: Any) -> None:
    pair = PromptExample("q", "<think>\nhm\n</think>\n\na")
    thoughtful = MiniMind2026(thinking=True)
    assert trained(encoded(thoughtful, pair, new_tokenizer), new_tokenizer) == (
        "<think>\nhm\n</think>\n\na<|im_end|>\n"
    )
    with pytest.raises(DataError, match=r"encoder\.thinking: true"):
        MiniMind2026().encode(pair, new_tokenizer)
    plain = encoded(MiniMind2026(system="Be kind."), PromptExample("q", "a"), new_tokenizer)
    assert trained(plain, new_tokenizer) == "a<|im_end|>\n"
    assert "<think>\n\n</think>" in new_tokenizer.decode(plain.input_ids)
    assert new_tokenizer.decode(plain.input_ids).startswith("<|im_start|>system\nBe kind.")


def test_tools_without_a_place_are_refused(byte_tokenizer: Any) -> None:
    with pytest.raises(DataError, match="minimind-2025-04 has no place for a conversation's tools"):
        MiniMind202504().encode(ChatExample(TALK.messages, TOOLS), byte_tokenizer)


@pytest.mark.parametrize("max_length", [8, 12, 40])
def test_end_and_newline_survive_a_cut(byte_tokenizer: Any, max_length: int) -> None:
    pair = PromptExample("many " * 40, "seventy two " * 40)
    row = encoded(MiniMind202504(max_length=max_length), pair, byte_tokenizer)
    assert len(row.input_ids) == max_length
    assert trained(row, byte_tokenizer).endswith("<|im_end|>\n")
    assert trained(row, byte_tokenizer).startswith("s")


def test_a_default_line_gives_way_to_the_conversations_own(byte_tokenizer: Any) -> None:
    own = ChatExample((Message("system", "Mine"), Message("user", "q"), Message("assistant", "a")))
    text = byte_tokenizer.decode(encoded(MiniMind202504(), own, byte_tokenizer).input_ids)
    assert text.startswith("<|im_start|>system\nMine<|im_end|>\n<|im_start|>user")
    none = MiniMind202504(system="").prompt(PromptExample("q", ""), byte_tokenizer)
    assert byte_tokenizer.decode(none.input_ids).startswith("<|im_start|>user")
