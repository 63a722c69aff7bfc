"""`lorafw chat`: a conversation with a model in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lorafw.cli.chat_room import chat_with
from lorafw.cli.loading_flags import LoadingFlags, loading_flags
from lorafw.cli.sampling_flags import sampling_flags
from lorafw.errors import UsageError

if TYPE_CHECKING:
    from lorafw.inference.generation.sampling import Sampling


@click.command()
@loading_flags
@click.option(
    "--adapters",
    metavar="NAME=PATH",
    multiple=True,
    help="Another adapter of the same base, to change to with /adapter NAME; repeatable.",
)
@click.option("--system", metavar="TEXT", default="", help="What the model is told first.")
@sampling_flags
def chat(
    loading: LoadingFlags, *, sampling: Sampling, adapters: tuple[str, ...], system: str
) -> None:
    """Talk with what is at PATH, as in `lorafw generate`; type /help for what can be said.

    Ctrl-C stops an answer, Ctrl-D ends the conversation. A classifier answers every line with its
    classes and their probabilities.
    """
    named = dict(map(_named, adapters))
    chat_with(loading.load_with(named) if named else loading.load(), sampling, system)


def _named(said: str) -> tuple[str, str]:
    name, _, path = said.partition("=")
    if not (name and path) or name == "none":
        mend = "'none' is the base itself." if name == "none" else ""
        raise UsageError(f"'{said}' is not of the form NAME=PATH.", where="--adapters", mend=mend)
    return name, path
