"""Starting the ranks of a run, watching them, and saying once what went wrong in which."""

from lorafw.training.launching.environment import adopt, is_worker, under_launcher, unheeded
from lorafw.training.launching.worker import failures_reported, handed_notices, in_rank

__all__ = [
    "adopt",
    "failures_reported",
    "handed_notices",
    "in_rank",
    "is_worker",
    "under_launcher",
    "unheeded",
]
