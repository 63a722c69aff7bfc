"""Every error a user can meet: each says what is wrong, where, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LorafwError(Exception):
    """Base of all errors meant for the user.

    Args:
        what: the fault, one sentence.
        where: file:line, config key or plugin it was found in.
        mend: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        self.what, self.where, self.mend = what, where, mend
        super().__init__(what, where, mend)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}" + (f" {self.mend}" if self.mend else "")


class UsageError(LorafwError):
    """The request itself is wrong: options, names, paths, combinations."""

    exit_code = 2


class ConfigError(UsageError):
    """A config key or value is wrong."""


class PluginError(UsageError):
    """A plugin is unknown, broken, declared twice or made for another lorafw."""


class CompositionError(UsageError):
    """Parts that are each right do not fit together."""


class DataError(LorafwError):
    """A data file cannot be read as what it should hold."""


class ModelError(LorafwError):
    """A model folder cannot be read as what it should hold."""


class AdapterError(LorafwError):
    """An adapter cannot be applied, written or read."""


class TrainingError(LorafwError):
    """Training cannot go on."""


class CheckpointError(LorafwError):
    """A checkpoint is missing, damaged or belongs to another run."""


class ExportError(LorafwError):
    """What was written is not what should have been written."""


class Interrupted(LorafwError):
    """The run ended early because it was asked to; it can be continued."""

    exit_code = 143  # what a process that heeded SIGTERM leaves behind


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion for a misspelt word, or the empty string.

    >>> did_you_mean("zero_sage", ["zero_stage", "rank"])
    "Did you mean 'zero_stage'?"
    """
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean '{near[0]}'?" if near else ""
