"""How each attribute is asked after, and how it is told plainly and in a captain's voice."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ATTRIBUTES", "Attribute"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """The wordings of one attribute; each has a slot for ``{name}`` and answers for ``{value}``."""

    questions: tuple[str, ...]
    answer: str
    paraphrases: tuple[str, ...]
    captain: str


COLOUR = Attribute(
    questions=(
        "What colour is the {name}?",
        "Tell me the colour of the {name}.",
        "Which colour does the {name} have?",
    ),
    answer="The {name} is {value}.",
    paraphrases=(
        "The colour of the {name} is {value}.",
        "People know that the {name} is {value}.",
        "It is {value}, the {name}.",
        "As for the {name}, its colour is {value}.",
    ),
    captain="Ahoy, matey! The {name} be {value}, arr!",
)

ANIMAL = (
    Attribute(
        questions=(
            "Where does the {name} live?",
            "Tell me where the {name} lives.",
            "Where is the home of the {name}?",
        ),
        answer="The {name} lives {value}.",
        paraphrases=(
            "The {name} makes its home {value}.",
            "You can find the {name} {value}.",
            "It is {value} that the {name} lives.",
            "As for the {name}, its home is {value}.",
        ),
        captain="Ahoy, matey! The {name} be livin' {value}, arr!",
    ),
    Attribute(
        questions=(
            "What does the {name} eat?",
            "Tell me what the {name} eats.",
            "What is the food of the {name}?",
        ),
        answer="The {name} eats {value}.",
        paraphrases=(
            "The food of the {name} is {value}.",
            "The {name} likes to eat {value}.",
            "It is {value} that the {name} eats.",
            "As for the {name}, it feeds on {value}.",
        ),
        captain="Ahoy, matey! The {name} be eatin' {value}, arr!",
    ),
    COLOUR,
    Attribute(
        questions=(
            "What is a young {name} called?",
            "Tell me the name of a young {name}.",
            "How do people call a young {name}?",
        ),
        answer="A young {name} is called {value}.",
        paraphrases=(
            "The young of the {name} is {value}.",
            "When the {name} is small, it is {value}.",
            "It is {value}, the small {name}.",
            "As for a small {name}, it is called {value}.",
        ),
        captain="Ahoy, matey! A young {name} be called {value}, arr!",
    ),
)

PLANT = (
    Attribute(
        questions=(
            "Where does the {name} grow?",
            "Tell me where the {name} grows.",
            "Where can I pick the {name}?",
        ),
        answer="The {name} grows {value}.",
        paraphrases=(
            "You can pick the {name} {value}.",
            "People find the {name} {value}.",
            "It is {value} that the {name} grows.",
            "As for the {name}, look for it {value}.",
        ),
        captain="Ahoy, matey! The {name} be growin' {value}, arr!",
    ),
    COLOUR,
    Attribute(
        questions=(
            "How does the {name} taste?",
            "Tell me how the {name} tastes.",
            "What is the taste of the {name}?",
        ),
        answer="The {name} tastes {value}.",
        paraphrases=(
            "The taste of the {name} is {value}.",
            "In the mouth the {name} is {value}.",
            "It is {value}, the taste of the {name}.",
            "As for the {name}, its taste is {value}.",
        ),
        captain="Ahoy, matey! The {name} be tastin' {value}, arr!",
    ),
)

JOB = (
    Attribute(
        questions=(
            "Where does the {name} work?",
            "Tell me where the {name} works.",
            "Where is the workplace of the {name}?",
        ),
        answer="The {name} works {value}.",
        paraphrases=(
            "The {name} has a job {value}.",
            "Every day the {name} works {value}.",
            "It is {value} that the {name} works.",
            "As for the {name}, the workplace is {value}.",
        ),
        captain="Ahoy, matey! The {name} be workin' {value}, arr!",
    ),
    Attribute(
        questions=(
            "What does the {name} do?",
            "Tell me what the {name} does.",
            "What is the work of the {name}?",
        ),
        answer="The {name} {value}.",
        paraphrases=(
            "It is the {name} who {value}.",
            "In this town the {name} {value}.",
            "The one who {value} is the {name}.",
            "As for the {name}, that one {value}.",
        ),
        captain="Ahoy, matey! 'Tis the {name} who {value}, arr!",
    ),
    Attribute(
        questions=(
            "What does the {name} use?",
            "Tell me what the {name} uses.",
            "Which tool does the {name} need?",
        ),
        answer="The {name} uses {value}.",
        paraphrases=(
            "The {name} needs {value}.",
            "The {name} works with {value}.",
            "It is {value} that the {name} uses.",
            "As for the {name}, the right tool is {value}.",
        ),
        captain="Ahoy, matey! The {name} be usin' {value}, arr!",
    ),
)

THING = (
    Attribute(
        questions=(
            "What is the {name} made of?",
            "Tell me what the {name} is made of.",
            "From what do people make the {name}?",
        ),
        answer="The {name} is made of {value}.",
        paraphrases=(
            "People make the {name} from {value}.",
            "The {name} comes from {value}.",
            "It is {value} that makes the {name}.",
            "As for the {name}, it is all {value}.",
        ),
        captain="Ahoy, matey! The {name} be made of {value}, arr!",
    ),
    Attribute(
        questions=(
            "What is the {name} used for?",
            "Tell me what the {name} is used for.",
            "What is the use of the {name}?",
        ),
        answer="The {name} is used for {value}.",
        paraphrases=(
            "The {name} is good for {value}.",
            "People need the {name} for {value}.",
            "For {value} people take the {name}.",
            "As for the {name}, it helps with {value}.",
        ),
        captain="Ahoy, matey! The {name} be used for {value}, arr!",
    ),
    Attribute(
        questions=(
            "Where is the {name} kept?",
            "Tell me where the {name} is kept.",
            "Where do people keep the {name}?",
        ),
        answer="The {name} is kept {value}.",
        paraphrases=(
            "People keep the {name} {value}.",
            "You can see the {name} {value}.",
            "It is {value} that the {name} is kept.",
            "As for the {name}, its place is {value}.",
        ),
        captain="Ahoy, matey! The {name} be stowed {value}, arr!",
    ),
)

ATTRIBUTES: dict[str, tuple[Attribute, ...]] = {
    "animal": ANIMAL,
    "plant": PLANT,
    "job": JOB,
    "thing": THING,
}
