"""Conversations as rows: what is trained, how a turn ends, truncation, odd templates."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.builtin.chat import Chat
from lorafw.errors import CompositionError, ConfigError, DataError
from lorafw.testing.toys import toy_tokenizer
from lorafw.types import IGNORE_INDEX, ChatExample, Encoded, Example, Message, PromptExample

LONG = 10_000
ALPACA = (
    "{% for m in messages %}### {{ m.role }}:\n{{ m.content }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}### assistant:\n{% endif %}"
)
# As Qwen3's: the last answer, and only the last, is written with an empty thought before it.
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if not thinking | default(true) %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
texts = st.text(min_size=1, max_size=40).map(lambda text: f"a{text}b")
"""Letters at both ends, for templates may strip white space."""


def chat(*contents: str, system: str | None = None) -> ChatExample:
    """A conversation of user and assistant in turn."""
    roles = ("user", "assistant")
    turns = [Message(roles[at % 2], content) for at, content in enumerate(contents)]
    return ChatExample((Message("system", system), *turns) if system else tuple(turns))


def encoded(example: Example, tokenizer: Any, **options: Any) -> Encoded:
    row = Chat(**{"max_length": LONG, **options}).encode(example, tokenizer)
    assert row is not None
    return row


def trained_texts(row: Encoded, tokenizer: Any) -> list[str]:
    """What is trained, one text per stretch."""
    stretches: list[list[int]] = []
    before = IGNORE_INDEX
    for label in row.labels:
        if label != IGNORE_INDEX:
            if before == IGNORE_INDEX:
                stretches.append([])
            stretches[-1].append(label)
        before = label
    return [tokenizer.decode(stretch) for stretch in stretches]


@given(question=texts, answer=texts, another=texts, reply=texts, system=texts)
def test_each_answer_is_trained_up_to_its_end_mark(
    chat_tokenizer: Any, question: str, answer: str, another: str, reply: str, system: str
) -> None:
    example = chat(question, answer, another, reply, system=system)
    row, eos = encoded(example, chat_tokenizer), chat_tokenizer.eos_token
    assert trained_texts(row, chat_tokenizer) == [answer + eos, reply + eos]
    assert row.input_ids[-1] == row.labels[-1] == chat_tokenizer.eos_token_id


@given(question=texts, answer=texts, another=texts, reply=texts)
def test_the_prompt_is_a_prefix_and_what_a_server_would_send(
    chat_tokenizer: Any, question: str, answer: str, another: str, reply: str
) -> None:
    example = chat(question, answer, another, reply)
    row = encoded(example, chat_tokenizer)
    asked = Chat(max_length=LONG).prompt(example, chat_tokenizer)
    assert row.input_ids[: len(asked.input_ids)] == asked.input_ids
    assert set(asked.labels) == {IGNORE_INDEX}
    assert chat_tokenizer.decode(asked.input_ids) == chat_tokenizer.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in example.messages[:-1]],
        tokenize=False,
        add_generation_prompt=True,
    )


@given(question=texts, answer=texts, another=texts)
def test_a_waiting_conversation_gets_the_same_prompt_as_its_training_row(
    chat_tokenizer: Any, question: str, answer: str, another: str
) -> None:
    finished = chat(question, answer, another, "the reply")
    waiting = ChatExample(finished.messages[:-1])
    for train_on in ("response", "last", "all"):
        encoder = Chat(max_length=LONG, train_on=train_on)
        assert encoder.prompt(waiting, chat_tokenizer) == encoder.prompt(finished, chat_tokenizer)


def test_special_tokens_are_the_templates_own(chat_tokenizer: Any) -> None:
    row = encoded(chat("Hello!", "Hi."), chat_tokenizer)
    messages = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hi."}]
    text = chat_tokenizer.apply_chat_template(messages, tokenize=False)
    whole = chat_tokenizer.encode(text.rstrip(), add_special_tokens=False)
    assert list(row.input_ids) == whole


@given(st.lists(texts, min_size=2, max_size=8), st.integers(8, 60))
def test_a_cut_conversation_still_teaches_its_last_answer(
    chat_tokenizer: Any, contents: list[str], max_length: int
) -> None:
    example = chat(*contents[: len(contents) // 2 * 2])
    whole = encoded(example, chat_tokenizer)
    row = encoded(example, chat_tokenizer, max_length=max_length)
    prompt = Chat(max_length=max_length).prompt(example, chat_tokenizer).input_ids
    answer = len(Chat(max_length=LONG).prompt(example, chat_tokenizer).input_ids)
    assert len(row.input_ids) == min(max_length, len(whole.input_ids))
    assert row.cut == len(whole.input_ids) - len(row.input_ids)
    assert row.labels[-1] == row.input_ids[-1] == chat_tokenizer.eos_token_id
    assert row.input_ids[: len(prompt)] == prompt
    assert row.labels[len(prompt)] == whole.input_ids[answer]
    assert all(label in {IGNORE_INDEX, row.input_ids[at]} for at, label in enumerate(row.labels))
    if list(whole.input_ids).count(chat_tokenizer.bos_token_id) == 1:
        assert row.input_ids[0] == chat_tokenizer.bos_token_id


def test_only_the_last_answer_is_trained_when_asked(chat_tokenizer: Any) -> None:
    row = encoded(chat("q", "first", "r", "second"), chat_tokenizer, train_on="last")
    assert trained_texts(row, chat_tokenizer) == ["second" + chat_tokenizer.eos_token]


def test_everything_is_trained_when_asked(chat_tokenizer: Any) -> None:
    row = encoded(chat("q", "first", "r", "second"), chat_tokenizer, train_on="all")
    assert list(row.labels) == list(row.input_ids)


def test_a_message_overrides_what_is_trained(chat_tokenizer: Any) -> None:
    example = ChatExample(
        (
            Message("user", "q"),
            Message("assistant", "wrong", train=False),
            Message("user", "r"),
            Message("assistant", "right"),
        )
    )
    right = "right" + chat_tokenizer.eos_token
    assert trained_texts(encoded(example, chat_tokenizer), chat_tokenizer) == [right]
    everything = trained_texts(encoded(example, chat_tokenizer, train_on="all"), chat_tokenizer)
    assert len(everything) == 2
    assert not any("wrong" in text for text in everything)


def test_a_users_turn_can_be_trained(chat_tokenizer: Any) -> None:
    example = ChatExample((Message("user", "q", train=True), Message("assistant", "a")))
    assert "q" in trained_texts(encoded(example, chat_tokenizer), chat_tokenizer)[0]


def test_what_follows_the_last_answer_is_left_out(chat_tokenizer: Any) -> None:
    unanswered = ChatExample((*chat("q", "a").messages, Message("user", "and then?")))
    assert encoded(unanswered, chat_tokenizer) == encoded(chat("q", "a"), chat_tokenizer)


def test_a_row_ends_with_its_last_trained_turn(chat_tokenizer: Any) -> None:
    more = (Message("user", "r"), Message("assistant", "untrained", train=False))
    example = ChatExample((*chat("q", "a").messages, *more))
    assert encoded(example, chat_tokenizer) == encoded(chat("q", "a"), chat_tokenizer)
    prompt = Chat().prompt(example, chat_tokenizer)
    assert prompt == Chat().prompt(chat("q", "a"), chat_tokenizer)


@pytest.mark.parametrize(
    "messages",
    [
        (Message("user", "q"),),
        (Message("user", "q"), Message("assistant", "")),
        (Message("user", "q"), Message("assistant", "a", train=False)),
        (Message("assistant", "Welcome!"), Message("user", "q")),
    ],
    ids=["no answer", "empty answer", "answer not trained", "greeting only"],
)
def test_nothing_to_train(chat_tokenizer: Any, messages: tuple[Message, ...]) -> None:
    assert Chat().encode(ChatExample(messages), chat_tokenizer) is None


def test_a_pair_is_a_user_and_an_assistant(chat_tokenizer: Any) -> None:
    pair = encoded(PromptExample("q", "a"), chat_tokenizer)
    assert pair == encoded(chat("q", "a"), chat_tokenizer)


def test_eos_is_added_where_the_template_ends_no_turn(plain_tokenizer: Any) -> None:
    row = encoded(chat("q", "a\n", "r", "b"), plain_tokenizer, template=ALPACA)
    assert trained_texts(row, plain_tokenizer) == ["a\n</s>", "b</s>"]
    asked = Chat(template=ALPACA).prompt(chat("q", "a\n", "r", "b"), plain_tokenizer)
    assert row.input_ids[: len(asked.input_ids)] == asked.input_ids
    assert plain_tokenizer.decode(asked.input_ids).count("</s>") == 1


def test_an_end_mark_that_is_not_eos_ends_a_turn(chat_tokenizer: Any) -> None:
    usual = (chat_tokenizer.bos_token, chat_tokenizer.eos_token)
    mark = next(token for token in chat_tokenizer.all_special_tokens if token not in usual)
    template = ALPACA.replace("\n\n{% endfor %}", mark + "\n\n{% endfor %}")
    row = encoded(chat("q", "a"), chat_tokenizer, template=template)
    assert trained_texts(row, chat_tokenizer) == ["a" + mark]


def test_a_template_may_write_the_last_answer_differently(chat_tokenizer: Any) -> None:
    row = encoded(chat("q", "first", "r", "second"), chat_tokenizer, template=THINKING)
    eos = chat_tokenizer.eos_token
    assert trained_texts(row, chat_tokenizer) == [
        f"first{eos}",
        f"<think>\n\n</think>\n\nsecond{eos}",
    ]


def test_a_template_whose_beginnings_disagree_is_named(chat_tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "thinking.jinja"
    path.write_text(THINKING, encoding="utf-8")
    encoder = Chat(template=str(path), template_options={"thinking": False})
    with pytest.raises(ConfigError, match=r"thinking\.jinja renders turn 2 of 4") as caught:
        encoder.encode(chat("q", "first", "r", "second"), chat_tokenizer)
    assert caught.value.where == "encoder.template"
    last = encoded(
        chat("q", "first", "r", "second"),
        chat_tokenizer,
        template=str(path),
        template_options={"thinking": False},
        train_on="last",
    )
    assert "<think>" not in trained_texts(last, chat_tokenizer)[0]


def test_a_tokenizer_without_template_needs_one(plain_tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match=r"encoder\.template.*encoder prompt") as caught:
        Chat().encode(chat("q", "a"), plain_tokenizer)
    assert caught.value.exit_code == 2


def test_a_template_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        Chat(template=str(tmp_path / "no.jinja")).preflight()
    Chat(template="{{ messages }}").preflight()


def test_a_template_must_be_jinja(plain_tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match="not Jinja"):
        Chat(template="{% for %}").encode(chat("q", "a"), plain_tokenizer)


def test_a_template_may_refuse_a_conversation(plain_tokenizer: Any) -> None:
    strict = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(DataError, match="refuses a conversation: roles must alternate"):
        Chat(template=strict).encode(chat("q", "a"), plain_tokenizer)


USERS_AND_ANSWERS = (
    "{% for m in messages %}{% if m.role in ('user', 'assistant') %}"
    "{{ m.role }}: {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


@pytest.mark.parametrize("role", ["system", "tool", "ipython"])
def test_a_message_that_a_template_passes_over_is_told(plain_tokenizer: Any, role: str) -> None:
    known = chat("What is 3 + 4?", "Let me see.")
    turns = (*known.messages, Message(role, "the sum is 7"), Message("assistant", "It is 7."))
    with pytest.raises(DataError, match=f"leaves out message 3, of role '{role}'"):
        Chat(template=USERS_AND_ANSWERS).encode(ChatExample(turns), plain_tokenizer)
    assert encoded(known, plain_tokenizer, template=USERS_AND_ANSWERS).targets
    quoting = USERS_AND_ANSWERS.replace("m.role in ('user', 'assistant')", "true").replace(
        "m.content", "m.content | upper"
    )
    assert encoded(ChatExample(turns), plain_tokenizer, template=quoting).targets


def test_a_tokenizer_that_reads_no_marks_cannot_follow_a_template() -> None:
    """Else `</s>` at the end of a turn would be taught letter by letter, and never the token."""
    tokenizer: Any = toy_tokenizer(chat=True)
    tokenizer.split_special_tokens = tokenizer.backend_tokenizer.encode_special_tokens = True
    with pytest.raises(ConfigError, match=r"special tokens in a text as plain text.*such as glm"):
        Chat().encode(chat("cat", "mat"), tokenizer)


def test_a_conversations_tools_are_the_templates_to_write(chat_tokenizer: Any) -> None:
    listing = "{% for tool in tools or () %}{{ tool.name }}\n{% endfor %}" + ALPACA
    example = replace(chat("q", "a"), tools='[{"name": "weather"}]')
    asked = Chat(template=listing).prompt(example, chat_tokenizer)
    assert chat_tokenizer.decode(asked.input_ids).startswith("weather\n### user:\nq")
    with pytest.raises(DataError, match="no place for a conversation's tools"):
        Chat(template=ALPACA).encode(example, chat_tokenizer)


def test_what_calls_for_the_answer_survives_a_cut_on_either_side(chat_tokenizer: Any) -> None:
    example = chat("seven small birds " * 30, "sold")
    for side in ("left", "right"):
        encoder = Chat.from_mapping(
            {"template": ALPACA, "max_length": 60, "truncate": side}, where="encoder"
        )
        text = chat_tokenizer.decode(encoder.prompt(example, chat_tokenizer).input_ids)
        assert text.endswith("\n\n### assistant:\n")
        assert text.startswith("### user:\nseven small") == (side == "right")


def test_the_encoders_own_template_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="add_generation_prompt"):
        Chat.from_mapping({"template_options": {"add_generation_prompt": True}}, where="encoder")


def test_an_empty_conversation_and_another_kind_are_refused(chat_tokenizer: Any) -> None:
    with pytest.raises(DataError, match="no messages"):
        Chat().encode(ChatExample(()), chat_tokenizer)
    with pytest.raises(CompositionError, match="not Example"):
        Chat().encode(Example(), chat_tokenizer)


def test_real_conversations(chat_tokenizer: Any, shared: Path) -> None:
    lines = (shared / "data/identity/lora_identity.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines:
        turns = json.loads(line)["conversations"]
        example = ChatExample(tuple(Message(turn["role"], turn["content"]) for turn in turns))
        answers = [turn["content"] for turn in turns if turn["role"] == "assistant"]
        trained = trained_texts(encoded(example, chat_tokenizer), chat_tokenizer)
        assert trained == [answer + chat_tokenizer.eos_token for answer in answers]
