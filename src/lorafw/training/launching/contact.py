"""Telling the errors that another rank's end causes from a rank's own."""

from __future__ import annotations

import re

from lorafw.errors import TrainingError

_GONE = re.compile(
    r"Connection (closed by peer|reset by peer|refused)|Broken pipe|connection was (re)?set|"
    r"Socket is closed|remote process exited|NCCL communicator was aborted|failed to (recv|send)",
    re.IGNORECASE,
)
_LATE = re.compile(
    r"Timed out waiting \d+ *ms for (recv|send)|Application timeout caused pair closure|"
    r"wait timeout after|[Ss]ocket [Tt]imeout|ran for \d+ milliseconds before timing out|"
    r"connect timeout|[Tt]imed out after"
)


class LostContact(TrainingError):
    """A rank does not hear from another any more."""


def lost_contact(error: BaseException) -> LostContact | None:
    """The error that a failed collective stands for, or None for any other exception.

    Args:
        error: what a rank that has peers died of.
    """
    if isinstance(error, LostContact):
        return error
    if not isinstance(error, RuntimeError | OSError) or isinstance(error, FileNotFoundError):
        return None
    text = str(error)
    if _LATE.search(text):
        return LostContact(
            "no word from another rank for too long.",
            mend="See whether it and the network are well; the limit is trainer.timeout_minutes.",
        )
    if _GONE.search(text) or _of_torch(error):
        return LostContact("another rank is gone.", mend="Look for its own error.")
    return None


def _of_torch(error: BaseException) -> bool:
    """Errors that torch raises for no other reason than its peers and its store."""
    return any(
        kind.__name__ in {"DistNetworkError", "DistStoreError"} for kind in type(error).__mro__
    )
