"""What holds for every template, whatever the text and the tokenizer."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.assembly.registry import Registry
from lorafw.contracts import Encoder
from lorafw.data.rendering.tokens import mark_id, text_ids
from lorafw.types import IGNORE_INDEX, ChatExample, Encoded, Example, Message, PromptExample, Task

ALPACA = (
    "{% for m in messages %}### {{ m.role }}:\n{{ m.content }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}### assistant:\n{% endif %}"
)
NEEDS_MARKS = {"glm", "glm-v1"}
REGISTRY = Registry()


def _templates() -> dict[str, Encoder]:
    found: dict[str, Any] = {}
    for entry in REGISTRY.entries("encoder"):
        kind: Any = REGISTRY.load("encoder", entry.name)
        if entry.distribution == "lorafw" and kind.task is Task.CAUSAL_LM:
            options = {"template": ALPACA} if entry.name == "chat" else {}
            found[entry.name] = kind.from_mapping({"max_length": 4096, **options}, where="encoder")
    return found


TEMPLATES = _templates()
PAIRED = sorted(name for name, each in TEMPLATES.items() if PromptExample in each.accepts)
TALKING = sorted(name for name, each in TEMPLATES.items() if ChatExample in each.accepts)
# Any text but that of special tokens, which tokenizers read as such.
letters = st.characters(codec="utf-8", exclude_characters="<[")
texts = st.text(letters, min_size=1, max_size=40)
pairs = st.builds(PromptExample, st.text(letters, max_size=40), texts, st.just("") | texts)


def usable(name: str, tokenizer: Any) -> bool:
    return name not in NEEDS_MARKS or mark_id(tokenizer, "[gMASK]") is not None


def both(name: str, example: Example, tokenizer: Any, **options: Any) -> tuple[Encoded, list[int]]:
    encoder = TEMPLATES[name].model_copy(update=options)
    row = encoder.encode(example, tokenizer)
    assert row is not None
    return row, list(encoder.prompt(example, tokenizer).input_ids)


def assert_reads_as(row: Encoded, prompt: list[int], said: str, name: str, tokenizer: Any) -> None:
    """The answer's tokens are trained, all of them, and read as the response between affixes."""
    trained = list(row.labels[len(prompt) :])
    assert list(row.input_ids) == prompt + trained
    before, behind = TEMPLATES[name].affixes(tokenizer)
    wanted = before + round_trip(said, tokenizer) + round_trip(behind, tokenizer)
    asked = tokenizer.decode(prompt)
    read = tokenizer.decode([*prompt, *trained])
    assert read.startswith(asked)
    assert read.removeprefix(asked).lstrip(" ") == wanted.lstrip(" ")


def round_trip(text: str, tokenizer: Any) -> str:
    """What the tokenizer makes of a text; SentencePiece writes a space behind special tokens."""
    return str(tokenizer.decode(text_ids(tokenizer, text)))


@settings(max_examples=40)
@given(name=st.sampled_from(PAIRED), pair=pairs)
def test_what_is_trained_is_the_response_and_nothing_else(
    any_tokenizer: Any, name: str, pair: PromptExample
) -> None:
    if usable(name, any_tokenizer):
        row, prompt = both(name, pair, any_tokenizer)
        assert set(row.labels[: len(prompt)]) <= {IGNORE_INDEX}
        assert_reads_as(row, prompt, pair.response, name, any_tokenizer)


@settings(max_examples=30)
@given(
    name=st.sampled_from(TALKING),
    said=st.lists(texts, min_size=4, max_size=4),
    train_on=st.sampled_from(["response", "last", "all"]),
)
def test_the_last_answer_of_a_conversation_is_trained_whole(
    any_tokenizer: Any, name: str, said: list[str], train_on: str
) -> None:
    if usable(name, any_tokenizer):
        roles = ("user", "assistant", "user", "assistant")
        example = ChatExample(tuple(map(Message, roles, said)))
        row, prompt = both(name, example, any_tokenizer, train_on=train_on)
        assert_reads_as(row, prompt, said[-1], name, any_tokenizer)
        trained = [label for label in row.labels[: len(prompt)] if label != IGNORE_INDEX]
        expected = {"last": 0, "all": len(prompt)}
        assert len(trained) == expected.get(train_on, len(trained))
        assert train_on != "response" or 0 < len(trained) < len(prompt)


@settings(max_examples=40)
@given(
    name=st.sampled_from(PAIRED),
    pair=pairs,
    max_length=st.integers(8, 48),
    side=st.sampled_from(["left", "right"]),
)
def test_a_cut_row_still_teaches_the_beginning_and_the_end(
    any_tokenizer: Any, name: str, pair: PromptExample, max_length: int, side: str
) -> None:
    if not usable(name, any_tokenizer):
        return
    whole, _ = both(name, pair, any_tokenizer)
    row, prompt = both(name, pair, any_tokenizer, max_length=max_length, truncate=side)
    end = text_ids(any_tokenizer, TEMPLATES[name].affixes(any_tokenizer)[1])
    assert len(row.input_ids) <= max_length
    assert row.cut == len(whole.input_ids) - len(row.input_ids)
    assert list(row.input_ids[: len(prompt)]) == prompt
    assert list(row.input_ids) == prompt + list(row.labels[len(prompt) :])
    assert row.labels[-1] == end[-1]
    assert len(row.input_ids) - len(prompt) > 1


@settings(max_examples=30)
@given(name=st.sampled_from(PAIRED), pair=pairs)
def test_bos_is_not_doubled(any_tokenizer: Any, name: str, pair: PromptExample) -> None:
    if usable(name, any_tokenizer):
        row, _ = both(name, pair, any_tokenizer)
        assert list(row.input_ids[:2]) != [any_tokenizer.bos_token_id] * 2
