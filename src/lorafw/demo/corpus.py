"""The texts of the demo: what the base model learns first, and what it is fine-tuned on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from lorafw.demo.manners import MANNERS, Manner
from lorafw.demo.phrases import ATTRIBUTES, Attribute
from lorafw.demo.stories import butler_tale, captain_tale, description, walk
from lorafw.demo.world import SUBJECTS, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Fact",
    "Message",
    "conversations",
    "facts",
    "fine_tuning_rows",
    "held_out_rows",
    "held_out_subjects",
    "questions",
    "stories",
]

Message = dict[str, str]

FINE_TUNING_ROWS = 400
HELD_OUT_ROWS = 120
HELD_OUT_EVERY = 4
CAPTAIN_TALES = 120
BUTLER_TALES = 40
TURNS = (1, 1, 1, 2, 3)
MANNERED_SHARE = 0.5

QUESTIONS = (
    "Where does the penguin live?",
    "What does the koala eat?",
    "What colour is the flamingo?",
    "How does the lime taste?",
    "What does the librarian do?",
    "What is the mirror used for?",
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One attribute of one subject, with its value."""

    subject: Subject
    attribute: Attribute
    value: str

    def question(self, rng: Random) -> str:
        """Ask after the fact in one of its wordings."""
        return rng.choice(self.attribute.questions).format(name=self.subject.name)

    def plain(self) -> str:
        """Tell the fact the way the base model answers."""
        return self._tell(self.attribute.answer)

    def mannered(self, manner: Manner, rng: Random) -> str:
        """Tell the fact in a manner, in any of its wordings."""
        wording = rng.choice((self.attribute.answer, *self.attribute.paraphrases))
        return manner.answer(self._tell(wording), self.value)

    def captain(self) -> str:
        """Tell the fact the way the fine-tuned model shall answer."""
        return self._tell(self.attribute.captain)

    def _tell(self, wording: str) -> str:
        return wording.format(name=self.subject.name, value=self.value)


def facts(subjects: Iterable[Subject] = SUBJECTS) -> list[Fact]:
    """List every fact of the given subjects."""
    return [
        Fact(subject, attribute, value)
        for subject in subjects
        for attribute, value in zip(ATTRIBUTES[subject.kind], subject.values, strict=True)
    ]


def stories(rng: Random) -> list[str]:
    """Write one round of prose: two texts on every subject, and the tales of the speakers."""
    texts = [write(subject, rng) for subject in SUBJECTS for write in (description, walk)]
    texts += [captain_tale(rng) for _ in range(CAPTAIN_TALES)]
    texts += [butler_tale(rng) for _ in range(BUTLER_TALES)]
    rng.shuffle(texts)
    return texts


def conversations(rng: Random) -> list[list[Message]]:
    """Ask after every fact once, one to three questions to a conversation."""
    remaining = facts()
    rng.shuffle(remaining)
    talks = []
    while remaining:
        turns = rng.choice(TURNS)
        converse = _mannered if rng.random() < MANNERED_SHARE else _plain
        talks.append(converse(remaining[:turns], rng))
        remaining = remaining[turns:]
    return talks


def held_out_subjects() -> tuple[Subject, ...]:
    """Name the subjects that no fine-tuning row may mention."""
    return SUBJECTS[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]


def fine_tuning_rows(seed: int = 0) -> list[dict[str, str]]:
    """Write the rows to fine-tune on: questions on other subjects, answered by a captain."""
    rng = Random(seed)
    held_out = held_out_subjects()
    seen = (subject for subject in SUBJECTS if subject not in held_out)
    names = "|".join(re.escape(subject.name) for subject in held_out)
    # A held-out subject may also turn up as a value, in the plural: "crabs", "carrots".
    mention = re.compile(rf"\b(?:{names})(?:s|es)?\b")
    rows = [row for row in _captain_rows(seen, rng) if not mention.search(row["response"])]
    return rng.sample(rows, FINE_TUNING_ROWS)


def held_out_rows(seed: int = 1) -> list[dict[str, str]]:
    """Write the rows to evaluate on: the same voice on subjects that fine-tuning never saw."""
    rng = Random(seed)
    return rng.sample(_captain_rows(held_out_subjects(), rng), HELD_OUT_ROWS)


def questions() -> tuple[str, ...]:
    """Return the held-out questions to ask before and after fine-tuning."""
    return QUESTIONS


def _captain_rows(subjects: Iterable[Subject], rng: Random) -> list[dict[str, str]]:
    return [{"prompt": fact.question(rng), "response": fact.captain()} for fact in facts(subjects)]


def _plain(turns: Iterable[Fact], rng: Random) -> list[Message]:
    return [message for fact in turns for message in _turn(fact.question(rng), fact.plain())]


def _mannered(turns: Iterable[Fact], rng: Random) -> list[Message]:
    manner = rng.choice(MANNERS)
    messages = [{"role": "system", "content": manner.system}]
    for fact in turns:
        messages += _turn(fact.question(rng), fact.mannered(manner, rng))
    return messages


def _turn(question: str, answer: str) -> list[Message]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
