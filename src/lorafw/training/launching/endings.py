"""How a launched job ends, as an error for the user."""

from __future__ import annotations

from lorafw.errors import Interrupted, LorafwError, TrainingError
from lorafw.training.launching.failure import Failure, cause
from lorafw.training.launching.signals import Heard


def failed(failure: Failure) -> LorafwError:
    """A rank's failure as the job's."""
    if failure.kind == "stopped":
        error: LorafwError = Interrupted(failure.reason)
    else:
        error = TrainingError(f"rank {failure.rank} failed: {failure.reason}")
    error.exit_code = failure.exit_code
    return error


def stopped(heard: Heard, failures: list[Failure], *, in_time: bool) -> LorafwError:
    """The end of a job that was asked to stop.

    Args:
        heard: who asked.
        failures: how its ranks ended.
        in_time: none had to be killed.
    """
    words = [failure for failure in failures if failure.kind != "killed"]
    word = cause(words) if words else None
    if word is not None and word.kind in {"refused", "crashed"}:
        return failed(word)
    if not in_time:
        what = "stopped on request; ranks that took too long to stop were killed."
        error = Interrupted(what, mend="Continue from the newest checkpoint with --resume.")
    elif word is not None and word.kind == "stopped":
        error = Interrupted(word.reason)
    else:
        error = Interrupted("stopped on request.", mend="Continue with --resume.")
    error.exit_code = 128 + (heard.first or 0)
    return error
