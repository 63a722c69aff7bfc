"""Parts that break what every part promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, Field, field_serializer

from lorafw.assembly.hooks import listens
from lorafw.contracts import Listener


class Sound(Listener):
    """Does all that is asked of a listener; the others differ from it in one thing."""

    breaks: ClassVar[tuple[str, ...]] = ()

    threshold: float = Field(0.5, description="When to speak.")

    def open(self, folder: Path) -> object:
        return _Live()


class _Live:
    @listens
    def notice(self, message: str) -> None:
        pass


class Nameless(Sound):
    breaks = ("it describes itself in one line",)


class Undescribed(Sound):
    """An option that users have to guess the meaning of."""

    breaks = ("every option has a description",)

    limit: int = 3


class Lenient(Sound):
    """Swallows options that do not exist."""

    breaks = ("an unknown option is a config error with a suggestion",)

    model_config = ConfigDict(extra="ignore")


class Changeable(Sound):
    """Options that can be changed behind everyone's back."""

    breaks = ("it is frozen",)

    model_config = ConfigDict(frozen=False)


class Rounding(Sound):
    """Writes its options down less exactly than it has them."""

    breaks = ("it is rebuilt equal from its own options",)

    threshold: float = Field(0.55, description="When to speak.")

    @field_serializer("threshold")
    def _rounded(self, value: float) -> float:
        return round(value, 1)


class Forgetful(Sound):
    """Loses its options on the way to another process."""

    breaks = ("it survives pickling",)

    threshold: float = Field(0.55, description="When to speak.")

    def __reduce__(self) -> Any:
        return type(self), ()

    @classmethod
    def example(cls) -> Forgetful:
        return cls(threshold=0.75)
