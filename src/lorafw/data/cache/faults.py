"""What can go wrong with kept rows; none of it ends a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


class DamagedError(Exception):
    """What lies there is not what was written."""


class UnwritableError(Exception):
    """Rows cannot be kept; the text says why."""


class NoAddressError(Exception):
    """Nothing tells these rows from others."""


@contextmanager
def as_unwritable() -> Iterator[None]:
    """A fault of the file system as an `UnwritableError`."""
    try:
        yield
    except OSError as error:
        raise UnwritableError(os.strerror(error.errno) if error.errno else str(error)) from error
