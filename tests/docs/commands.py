"""The calls of `lorafw` on a page, run where they stand for."""

from __future__ import annotations

import shlex

from click.testing import CliRunner
from tests.docs.pages import Block

from lorafw.cli.main import main


def commands(block: Block) -> list[list[str]]:
    """The words behind `lorafw` of each call in a block; what is redirected is left out."""
    lines = block.text.replace("\\\n", " ").splitlines()
    calls = [shlex.split(line, comments=True) for line in lines]
    return [_unredirected(words[1:]) for words in calls if words and words[0] == "lorafw"]


def _unredirected(words: list[str]) -> list[str]:
    return words[: next((at for at, word in enumerate(words) if word in "<>|"), len(words))]


def run(words: list[str], stdin: str = "") -> str:
    """What a call prints; nothing went wrong."""
    result = CliRunner().invoke(main, words, input=stdin)
    assert result.exit_code == 0, (words, result.output, result.exception)
    return result.stdout
