"""Events reach listeners in order; one that raises is dropped and the others go on."""

from __future__ import annotations

import pytest

from lorafw.assembly.hooks import Announcer, listens
from lorafw.errors import UsageError


class Diary:
    """Writes down what it hears."""

    def __init__(self, name: str, pages: list[str]) -> None:
        self.name, self.pages = name, pages

    @listens
    def notice(self, message: str) -> None:
        self.pages.append(f"{self.name}: {message}")

    @listens
    def step_end(self, step: int, loss: float) -> None:
        self.pages.append(f"{self.name}: step {step} {loss}")


class Grump(Diary):
    """Cannot stand steps."""

    @listens
    def step_end(self, step: int, loss: float) -> None:
        raise ValueError("no more")


def step(announce: Announcer) -> None:
    announce(
        "step_end",
        step=1,
        steps=2,
        epoch=0.5,
        loss=3.0,
        grad_norm=1.0,
        learning_rate=1e-3,
        tokens=8,
        seconds=0.1,
        skipped=False,
    )


def test_listeners_hear_in_the_order_they_were_given() -> None:
    pages: list[str] = []
    names = [f"diary {number}" for number in range(20)]
    Announcer(Diary(name, pages) for name in names)("notice", message="hello")
    assert pages == [f"{name}: hello" for name in names]


def test_one_that_raises_is_reported_once_and_dropped() -> None:
    pages: list[str] = []
    announce = Announcer([Diary("a", pages), Grump("grump", pages), Diary("b", pages)])
    step(announce)
    step(announce)
    report = "Listener Grump failed in step_end and was dropped: ValueError: no more"
    assert pages == [
        *("a: step 1 3.0", f"a: {report}", f"b: {report}", "b: step 1 3.0"),
        *("a: step 1 3.0", "b: step 1 3.0"),
    ]


def test_an_event_that_does_not_exist() -> None:
    class Dreamer:
        @listens
        def step_began(self) -> None: ...

    with pytest.raises(UsageError, match="step_began"):
        Announcer([Dreamer()])


def test_a_payload_that_does_not_exist() -> None:
    class Wisher:
        @listens
        def step_end(self, accuracy: float) -> None: ...

    with pytest.raises(UsageError, match="accuracy") as caught:
        Announcer([Wisher()])
    assert "\n" not in str(caught.value)
