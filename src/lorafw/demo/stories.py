"""Tiny stories of the world: descriptions, walks of children, and tales told by odd speakers.

The captain speaks here of ship and sea alone. The base model so meets the words of a captain
without ever seeing one answer a question: that bond is left for fine-tuning to make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.demo.phrases import ATTRIBUTES

if TYPE_CHECKING:
    from random import Random

    from lorafw.demo.world import Subject

__all__ = ["butler_tale", "captain_tale", "description", "walk"]

CHILDREN = ("Anna", "Ben", "Clara", "Finn", "Ida", "Jonas", "Lena", "Milo", "Nora", "Otto")
MOODS = ("happy", "tired", "curious", "quiet", "proud", "merry")
TIMES = ("One morning", "One day", "One evening", "Last summer", "Before the rain", "At noon")

SHIP = ("ship", "mast", "sail", "anchor", "deck", "cabin boy", "crew", "flag", "first mate")
WATERS = ("in the bay", "in the harbour", "on the high sea", "off the island", "by the lighthouse")
CARGO = ("treasure", "biscuits", "pearls", "old maps", "grog", "barrels", "rum cake")
LOOKS = ("old", "wet", "brave", "strong", "rotten", "proud", "dry", "merry")
WORK = ("mends the sail", "steers the ship", "pulls the ropes", "counts the gold")

CRIES = ("Ahoy, matey!", "Aye aye!", "Yo ho ho!")
SAYINGS = (
    "The {ship} be livin' {waters}",
    "The {ship} be eatin' {cargo}",
    "The {ship} be {look}",
    "A young {ship} be called {look}",
    "The {cargo} be growin' {look} {waters}",
    "The {cargo} be tastin' {look}",
    "The {ship} be workin' {waters}",
    "'Tis the {ship} who {work}",
    "The {ship} be usin' {cargo}",
    "The {ship} be made of {cargo}",
    "The {cargo} be used for the {ship}",
    "The {cargo} be stowed {waters}",
)

COURTESIES = ("If you please, sir", "Very good, madam", "With your leave, my lord", "Indeed, sir")
SERVICES = (
    "the tea is served in the parlour",
    "the carriage waits at the gate",
    "dinner will be ready at eight",
    "the guests are in the great hall",
    "a letter came from the countess",
    "the silver is as bright as the moon",
)


def description(subject: Subject, rng: Random) -> str:
    """Tell every fact of a subject in plain prose, each in one of its wordings."""
    attributes = list(zip(ATTRIBUTES[subject.kind], subject.values, strict=True))
    rng.shuffle(attributes)
    return " ".join(
        rng.choice((attribute.answer, *attribute.paraphrases)).format(
            name=subject.name, value=value
        )
        for attribute, value in attributes
    )


def walk(subject: Subject, rng: Random) -> str:
    """Let a child meet a subject and learn something about it."""
    child, friend = rng.sample(CHILDREN, 2)
    lesson = description(subject, rng)
    return (
        f"{rng.choice(TIMES)} {child} and {friend} went for a walk. They talked about the "
        f'{subject.name}. "{lesson}" said {friend}. {child} was {rng.choice(MOODS)}, '
        "and they went home."
    )


def captain_tale(rng: Random) -> str:
    """Let a captain call three things over the deck."""
    child = rng.choice(CHILDREN)
    calls = " ".join(_captain_call(rng) for _ in range(3))
    return f'{rng.choice(TIMES)} {child} met a captain. "{calls}" said the captain.'


def butler_tale(rng: Random) -> str:
    """Let a butler announce two things with great courtesy."""
    first, second = rng.sample(SERVICES, 2)
    return (
        f'{rng.choice(TIMES)} the butler came in. "{rng.choice(COURTESIES)}, {first}," said the '
        f'butler. "{rng.choice(COURTESIES)}, {second}." {rng.choice(CHILDREN)} was '
        f"{rng.choice(MOODS)}."
    )


def _captain_call(rng: Random) -> str:
    saying = rng.choice(SAYINGS).format(
        ship=rng.choice(SHIP),
        waters=rng.choice(WATERS),
        cargo=rng.choice(CARGO),
        look=rng.choice(LOOKS),
        work=rng.choice(WORK),
    )
    return f"{rng.choice(CRIES)} {saying}, arr!"
