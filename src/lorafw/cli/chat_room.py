"""The turns of a terminal conversation, and what the user can say besides."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import click

from lorafw.cli.spoken_text import speak, speak_chances
from lorafw.errors import LorafwError, UsageError, did_you_mean
from lorafw.inference.conversation import Conversation
from lorafw.types import Task

if TYPE_CHECKING:
    from lorafw.inference.adapter_set import AdapterSet
    from lorafw.inference.generation.sampling import Sampling
    from lorafw.inference.loaded import LoadedModel

BASE = "none"
"""What the model without any adapter is called."""

_HELP = """\
/adapter NAME  answer with another adapter, or none; alone, tell which there are
/system TEXT   what the model is told first; alone, tell it nothing
/reset         forget what was said
/help          this list
/exit          end, as Ctrl-D does"""


class _Ended(Exception):
    """The user has had enough."""


def chat_with(model: LoadedModel | AdapterSet, sampling: Sampling, system: str) -> None:
    """Answer every line of the user's until there are no more.

    Raises:
        UsageError: the model takes no system words, and there are some.
    """
    room = _room(model, sampling, system)
    for notice in room.notices():
        click.echo(notice, err=True)
    for line in _lines():
        try:
            room.hear(line)
        except _Ended:
            return
        except KeyboardInterrupt:
            click.echo("(stopped, and forgotten)", err=True)
        except LorafwError as error:
            click.echo(f"Error: {error}", err=True)


class Room(ABC):
    """Hears the user's lines.

    Args:
        names: of the adapters.
        adapter: who answers first; None is the base.
    """

    def __init__(self, names: tuple[str, ...], adapter: str | None) -> None:
        self.names, self.adapter = names, adapter

    def hear(self, line: str) -> None:
        """Do what a line says, or answer it.

        Raises:
            LorafwError: it cannot be done; everything is as before.
        """
        if not line.startswith("/"):
            self.answer(line)
            return
        word, _, rest = line.partition(" ")
        command = self._commands.get(word)
        if command is None:
            hint = did_you_mean(word, self._commands) or "See /help."
            raise UsageError(f"there is no {word}. {hint}")
        getattr(self, command)(rest.strip())

    def notices(self) -> Iterator[str]:
        """What the user should know before the first line."""
        if len(self.names) > 1:
            yield f"Adapters: {', '.join(self.names)}. {self.adapter} answers; /adapter changes it."

    @abstractmethod
    def answer(self, line: str) -> None:
        """Answer the user, as the adapter that was asked for."""

    def _adapter(self, name: str) -> None:
        if not name:
            there = ", ".join((*self.names, BASE))
            click.echo(f"{self.adapter or BASE} answers; there are: {there}.", err=True)
            return
        if name not in (*self.names, BASE):
            hint = did_you_mean(name, self.names)
            there = ", ".join((*self.names, BASE))
            raise UsageError(f"there is no adapter '{name}'. {hint or f'There are: {there}.'}")
        self.adapter = None if name == BASE else name

    def _system(self, _: str) -> None:
        raise UsageError("this model is not told anything but what it answers.")

    def _reset(self, _: str) -> None:
        """Nothing was remembered."""

    def _help(self, _: str) -> None:
        click.echo(_HELP, err=True)

    def _exit(self, _: str) -> None:
        raise _Ended

    _commands: ClassVar[dict[str, str]] = {
        f"/{word}": f"_{word}" for word in ("adapter", "system", "reset", "help", "exit")
    }


class Talk(Room):
    """A conversation; where the model takes single prompts only, every turn stands alone."""

    def __init__(
        self,
        model: LoadedModel | AdapterSet,
        names: tuple[str, ...],
        sampling: Sampling,
        system: str,
    ) -> None:
        super().__init__(names, names[0] if names else None)
        self._conversation = Conversation(model, sampling, adapter=self.adapter)
        if system:
            self._system(system)

    def notices(self) -> Iterator[str]:
        """That turns stand alone, too."""
        yield from super().notices()
        if not self._conversation.remembers:
            yield "This model takes single prompts: it answers each on its own."

    def answer(self, line: str) -> None:
        """Stream the answer, piece by piece."""
        self._conversation.adapter = self.adapter
        if not self._conversation.remembers:
            self._conversation.reset()
        speak(self._conversation.stream(line))

    def _system(self, text: str) -> None:
        if text and not self._conversation.remembers:
            raise UsageError("this model takes single prompts, without system words.")
        self._conversation.system = text

    def _reset(self, _: str) -> None:
        self._conversation.reset()


class Sorting(Room):
    """Every line is put into classes; a tab parts two texts."""

    def __init__(self, model: LoadedModel, names: tuple[str, ...]) -> None:
        super().__init__(names, names[0] if names else None)
        self._model = model

    def answer(self, line: str) -> None:
        """Tell the classes and their probabilities."""
        first, tab, second = line.partition("\t")
        text = (first, second) if tab else line
        (chances,) = self._model.classify([text], adapter=self.adapter is not None)
        speak_chances(chances)


def _room(model: LoadedModel | AdapterSet, sampling: Sampling, system: str) -> Room:
    from lorafw.inference.loaded import TUNED, LoadedModel

    if not isinstance(model, LoadedModel):
        return Talk(model, model.names, sampling, system)
    names = (TUNED,) if model.adapted is not None else ()
    if model.bundle.task is Task.CLASSIFICATION:
        if system:
            raise UsageError("a classifier takes no system words.", where="--system")
        return Sorting(model, names)
    return Talk(model, names, sampling, system)


def _lines() -> Iterator[str]:
    """What the user says, line by line; blank lines say nothing."""
    typed = _typed() if sys.stdin.isatty() and sys.stdout.isatty() else _piped()
    return (line for line in typed if line.strip())


def _typed() -> Iterator[str]:
    import readline  # noqa: F401 - gives input() line editing and a history

    while True:
        try:
            yield input("> ")
        except EOFError:
            click.echo()
            return
        except KeyboardInterrupt:
            click.echo()


def _piped() -> Iterator[str]:
    for line in sys.stdin.buffer:
        yield line.decode(errors="replace").rstrip("\r\n")
