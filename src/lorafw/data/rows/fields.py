"""Which kind of example a row is, told from the names of its fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from lorafw.data.rows.choices import ANSWER_KEYS, ChoiceFields
from lorafw.data.rows.row_kinds import (
    ChatFields,
    Fields,
    LabelFields,
    PairFields,
    PreferenceFields,
    TextFields,
)
from lorafw.data.rows.text import listed
from lorafw.errors import DataError, did_you_mean

CHAT_NAMES = ("messages", "conversations")
PROMPT_NAMES = ("prompt", "question", "query", "instruction", "context", "input")
INPUT_NAMES = ("input", "context")
"""What may stand beside `instruction` (Alpaca, Dolly) and belongs to it."""
RESPONSE_NAMES = ("response", "answer", "output", "completion", "target")
TEXT_NAMES = ("text", "sentence")
TEXT_PAIR_NAMES = (
    ("sentence1", "sentence2"),
    ("text1", "text2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
)
TOOLS_NAMES = ("tools", "functions")
UNREAD_BESIDE_CHAT = ("label",)
"""Marks answers as wanted or unwanted (KTO); training on both alike would be wrong."""
UNREAD_BESIDE_PAIR = ("system", "history")
"""Turns before the prompt (LLaMA-Factory), which a pair cannot carry."""


class _Kind(NamedTuple):
    make: Callable[..., Fields | ChoiceFields]
    required: tuple[str, ...]
    optional: tuple[str, ...]


KINDS: Mapping[str, _Kind] = {
    "chosen": _Kind(PreferenceFields, ("chosen", "rejected"), ("prompt", "input", "system")),
    "messages": _Kind(ChatFields, ("messages",), ("system", "tools")),
    "label": _Kind(LabelFields, ("text", "label"), ("text_pair",)),
    "text": _Kind(TextFields, ("text",), ()),
    "choices": _Kind(ChoiceFields, ("prompt", "choices", "response"), ("input",)),
    "prompt": _Kind(PairFields, ("prompt", "response"), ("input",)),
}
"""The parts of every kind of row, by the part that tells it; the first that is there counts."""


def named_fields(names: Mapping[str, str]) -> Fields | ChoiceFields:
    """The fields a user named, such as {prompt: question, response: solution}.

    Raises:
        ValueError: a part is unknown or missing.
    """
    kind = next((KINDS[part] for part in KINDS if part in names), KINDS["prompt"])
    known = {*kind.required, *kind.optional}
    for part in names:
        if part not in known:
            hint = did_you_mean(part, known) or f"Known: {', '.join(sorted(known))}."
            raise ValueError(f"there is no part '{part}'. {hint}")
    if missing := [part for part in kind.required if part not in names]:
        raise ValueError(f"the part '{missing[0]}' is missing.")
    return kind.make(**names)


def detect_fields(row: Mapping[str, Any]) -> Fields | ChoiceFields:
    """The fields of a row that is named in one of the usual ways.

    Raises:
        DataError: no way of naming matches, or more than one does.
    """
    return _detected(tuple(row))


@lru_cache(maxsize=256)
def _detected(names: tuple[str, ...]) -> Fields | ChoiceFields:
    if "chosen" in names and "rejected" in names:
        return _preference(names)
    prompts, extra = _prompt_names(names)
    responses = _present(RESPONSE_NAMES, names)
    chats = _present(CHAT_NAMES, names)
    if chats and prompts and responses:
        raise _unclear(names, "is both of a conversation and a prompt with a response")
    if chats:
        return _chat(chats, names)
    answers = responses or _present(ANSWER_KEYS, names)
    if "choices" in names and prompts and answers:
        return _choice(prompts, answers, extra, names)
    if prompts and responses:
        return _pair(prompts, responses, extra, names)
    return _text(names)


def _preference(names: tuple[str, ...]) -> PreferenceFields:
    prompts, extra = _prompt_names(names)
    contexts = prompts or _present(CHAT_NAMES, names)
    prompt = _one(contexts, "prompt", names) if contexts else None
    return PreferenceFields("chosen", "rejected", prompt, extra, _if_present("system", names))


def _chat(chats: tuple[str, ...], names: tuple[str, ...]) -> ChatFields:
    tools = _present(TOOLS_NAMES, names)
    return ChatFields(
        _one(chats, "messages", names, "messages: …"),
        _if_present("system", names),
        _one(tools, "tools", names, "messages: …, tools: …") if tools else None,
        _present(UNREAD_BESIDE_CHAT, names),
    )


def _pair(
    prompts: tuple[str, ...], responses: tuple[str, ...], extra: str | None, names: tuple[str, ...]
) -> PairFields:
    prompt, response = _one(prompts, "prompt", names), _one(responses, "response", names)
    # A prompt with a completion and a label is KTO's form, as a conversation with one is.
    unread = UNREAD_BESIDE_CHAT if response == "completion" else ()
    return PairFields(prompt, response, extra, _present(UNREAD_BESIDE_PAIR + unread, names))


def _choice(
    prompts: tuple[str, ...], answers: tuple[str, ...], extra: str | None, names: tuple[str, ...]
) -> ChoiceFields:
    prompt, answer = _one(prompts, "prompt", names), _one(answers, "response", names)
    return ChoiceFields(prompt, "choices", answer, extra)


def _text(names: tuple[str, ...]) -> LabelFields | TextFields:
    pairs = [pair for pair in TEXT_PAIR_NAMES if set(pair) <= set(names)]
    texts = _present(TEXT_NAMES, names)
    if "label" in names and len(pairs) + len(texts) == 1:
        first, second = pairs[0] if pairs else (texts[0], None)
        return LabelFields(first, "label", second)
    if "text" in names and "label" not in names:
        return TextFields("text")
    raise _unclear(names, "is not of a known kind")


def _prompt_names(names: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    prompts = _present(PROMPT_NAMES, names)
    extra = next(iter(_present(INPUT_NAMES, names)), None)
    if "instruction" in prompts and extra:
        return tuple(name for name in prompts if name != extra), extra
    return prompts, None


def _present(wanted: Iterable[str], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in wanted if name in names)


def _if_present(name: str, names: tuple[str, ...]) -> str | None:
    return name if name in names else None


def _one(
    found: tuple[str, ...],
    part: str,
    names: tuple[str, ...],
    example: str = "prompt: …, response: …",
) -> str:
    if len(found) == 1:
        return found[0]
    fault = f"has more than one field for the {part} ({', '.join(found)})"
    raise _unclear(names, fault, example)


def _unclear(
    names: tuple[str, ...], fault: str, example: str = "prompt: …, response: …"
) -> DataError:
    return DataError(
        f"the row {fault}; its fields are {listed(names)}.",
        mend=f"Say which to read: dataset.fields: {{{example}}}.",
    )
