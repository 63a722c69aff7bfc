"""An answer written to stdout as it comes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import click

from lorafw.cli.printable import printable


def speak(pieces: Iterable[str]) -> None:
    """Write the pieces of an answer and end the line.

    A terminal is not shown what could move its cursor; anywhere else the text arrives as it is.
    """
    shows = sys.stdout.isatty()
    try:
        for piece in pieces:
            click.echo(for_terminal(piece) if shows else piece, nl=False)
    except KeyboardInterrupt:
        click.echo()
        raise
    click.echo()


@contextmanager
def listened_to() -> Iterator[None]:
    """While open, say so if whoever reads stdout goes away; the command then ends with 1."""
    try:
        yield
    except BrokenPipeError:
        click.echo("Error: whoever read the answers is gone.", err=True)
        raise  # click sees to it that nothing more is written there


def for_terminal(text: str) -> str:
    """Text that cannot move the cursor but by tabs and new lines."""
    return "\t".join(map(printable, text.split("\t")))


def speak_chances(chances: Mapping[str, float]) -> None:
    """Write the classes of a text with their probabilities, the likeliest first."""
    for label, chance in sorted(chances.items(), key=lambda found: -found[1]):
        click.echo(f"{for_terminal(label)}\t{chance:.4f}")
