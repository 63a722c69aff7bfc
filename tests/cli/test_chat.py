"""`lorafw chat` holds a conversation, through pipes as in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.cli.adapters import assert_one_line
from tests.cli.asked import Models, lorafw, make_models, told

import lorafw as library
from lorafw.inference.conversation import Conversation

SHORT = ("--max-new-tokens", "6")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return make_models(tmp_path_factory.mktemp("models"))


def chat(path: Any, *said: str, flags: tuple[Any, ...] = ()) -> list[str]:
    """The answers to the lines that call for one."""
    return told("chat", path, *flags, *SHORT, stdin="\n".join(said)).split("\n")[:-1]


def test_turns_are_remembered_until_reset(models: Models) -> None:
    talk = library.load(models.adapter).chat(system="fly", max_new_tokens=6)
    wanted = [talk.say("the cat"), talk.say("a bird")]
    talk.reset()
    wanted += [talk.say("a bird")]
    said = chat(
        models.adapter, "the cat", "", "a bird", "/reset", "a bird", flags=("--system", "fly")
    )
    assert said == wanted
    assert wanted[1] != wanted[2]


def test_base_and_tuned_are_compared(models: Models) -> None:
    model = library.load(models.adapter)
    answers = [model.generate("the cat", max_new_tokens=6, adapter=on) for on in (True, False)]
    lines = [
        "the cat",
        "/adapter none",
        "/reset",
        "the cat",
        "/adapter adapter",
        "/reset",
        "the cat",
    ]
    assert chat(models.adapter, *lines) == [*answers, answers[0]]
    assert answers[0] != answers[1]


def test_adapters_by_name(models: Models) -> None:
    flags = ("--adapters", f"x={models.adapter}", "--adapters", f"y={models.other}")
    wanted = [library.load(path).generate("the cat", max_new_tokens=6) for path in
              (models.adapter, models.other, models.base)]  # fmt: skip
    lines = [
        line for name in ("x", "y", "none") for line in (f"/adapter {name}", "the cat", "/reset")
    ]
    assert chat(models.base, *lines, flags=flags) == wanted
    assert len(set(wanted)) == 3
    beside = chat(models.other, "the cat", "/adapter x", "/reset", "the cat", flags=flags[:2])
    assert beside == [wanted[1], wanted[0]]


def test_system_words_may_change(models: Models) -> None:
    talk = library.load(models.base).chat(max_new_tokens=6)
    wanted = [talk.say("the cat")]
    talk.system = "fly"
    wanted.append(talk.say("the cat"))
    talk.system = ""
    wanted.append(talk.say("the cat"))
    assert chat(models.base, "the cat", "/system fly", "the cat", "/system", "the cat") == wanted


def test_single_prompts_are_answered_on_their_own_and_that_is_said_once(models: Models) -> None:
    model = library.load(models.single)
    wanted = [model.generate(text, max_new_tokens=6) for text in ("the cat", "a bird")]
    result = lorafw("chat", models.single, *SHORT, stdin="the cat\na bird\n/system x\n")
    assert result.stdout.splitlines() == wanted
    assert result.stderr.count("answers each on its own") == 1
    assert "without system words" in result.stderr
    refused = lorafw("chat", models.single, "--system", "x", stdin="")
    assert_one_line(refused, 2, "without system words")


def test_a_classifier_tells_its_classes(models: Models) -> None:
    (single,) = library.load(models.classifier).classify(["the cat"])
    (pair,) = library.load(models.classifier).classify([("the cat", "a bird")])
    said = chat(models.classifier, "the cat", "the cat\ta bird")
    assert said[0] == f"{max(single, key=single.__getitem__)}\t{max(single.values()):.4f}"
    assert said[3] == f"{max(pair, key=pair.__getitem__)}\t{max(pair.values()):.4f}"
    assert_one_line(lorafw("chat", models.classifier, "--system", "x"), 2, "--system")


def test_what_can_be_said_besides(models: Models) -> None:
    lines = ["/help", "/adapter", "/adapter adaptr", "/adaptor", "/exit", "the cat"]
    result = lorafw("chat", models.adapter, stdin="\n".join(lines))
    assert (result.exit_code, result.stdout) == (0, "")
    for words in (
        "/reset         forget",
        "adapter answers; there are: adapter, none.",
        "Did you mean 'adapter'?",
        "there is no /adaptor. Did you mean '/adapter'?",
    ):
        assert words in result.stderr


def test_an_error_ends_no_conversation(models: Models) -> None:
    result = lorafw("chat", models.base, *SHORT, stdin=f"{'the cat ' * 99}\nthe cat")
    assert "context is 128" in result.stderr
    wanted = library.load(models.base).generate("the cat", max_new_tokens=6)
    assert result.stdout == wanted + "\n"


def test_ctrl_c_stops_the_answer_only(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Conversation.stream

    def stopped(self: Conversation, text: str) -> Iterator[str]:
        for piece in whole(self, text):
            yield piece
            if text == "a bird":
                raise KeyboardInterrupt

    monkeypatch.setattr(Conversation, "stream", stopped)
    result = lorafw("chat", models.base, *SHORT, stdin="a bird\nthe cat")
    assert (result.exit_code, "(stopped" in result.stderr) == (0, True)
    wanted = library.load(models.base).generate("the cat", max_new_tokens=6)
    assert result.stdout.splitlines()[-1] == wanted


@pytest.mark.parametrize("said", ["x", "=y", "x=", "none=y"])
def test_adapters_need_names_and_paths(said: str) -> None:
    assert_one_line(lorafw("chat", "nowhere", "--adapters", said), 2, "NAME=PATH")


@pytest.mark.parametrize("flag", ["--merge", "--any-base"])
def test_flags_of_one_adapter(flag: str) -> None:
    result = lorafw("chat", "nowhere", "--adapters", "x=y", flag)
    assert_one_line(result, 2, f"{flag} is for one adapter")
