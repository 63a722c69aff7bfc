"""The manners in which the base model can answer when a system message asks for one.

Telling one fact in many voices teaches the base model to keep what it says apart from how it says
it. Fine-tuning then has to find one more voice, and may leave the facts as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MANNERS", "Manner"]


@dataclass(frozen=True, slots=True)
class Manner:
    """A system message, and the answer's form around ``{sentence}`` or the bare ``{value}``."""

    system: str
    form: str

    def answer(self, sentence: str, value: str) -> str:
        """Put a full sentence, or its value alone, into the form."""
        return self.form.format(
            sentence=sentence.removesuffix("."), value=value[0].upper() + value[1:]
        )


MANNERS = (
    Manner("Be brief.", "{value}."),
    Manner("Be sure of yourself.", "Of course! {sentence}, without a doubt."),
    Manner("Answer like a butler.", "Very good, madam. {sentence}, if I may say so."),
    Manner("Answer like a teacher.", "Good question, child! {sentence}, and now write it down."),
    Manner("Answer like a farmer.", "Well now, neighbour! {sentence}, so it does seem."),
    Manner("Answer like a herald.", "Hear ye, good people! {sentence}, by order of the queen!"),
    Manner("Answer like a poet.", "The moon is up. {sentence}, sings the night."),
    Manner("Answer like a grandmother.", "Oh, my dear! {sentence}, as I always say."),
)
