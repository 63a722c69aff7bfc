"""What contracts are written with: promises that need not apply, and errors that must come."""

from __future__ import annotations

import unittest
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Protocol

from lorafw.errors import LorafwError
from lorafw.types import Capability


class NotPromised(unittest.SkipTest):
    """The part does not claim this; pytest skips, `lorafw plugins check` says so."""


class Capable(Protocol):
    """Whatever declares capabilities: an injector, a trainer, a model."""

    @property
    def capabilities(self) -> AbstractSet[Capability]:
        """What it can do."""


def skip_unless(part: Capable, capability: Capability) -> None:
    """Go on only if the part declares a capability.

    Raises:
        NotPromised: it does not.
    """
    if capability not in part.capabilities:
        raise NotPromised(f"does not declare '{capability}'")


@contextmanager
def refused(kind: type[LorafwError] = LorafwError, *, naming: str = "") -> Iterator[None]:
    """Expect one of lorafw's errors, with a text in its message.

    Raises:
        AssertionError: nothing was raised, or the message lacks the text.
    """
    try:
        yield
    except kind as error:
        assert naming in str(error), f"the error does not name {naming!r}: {error}"
    else:
        raise AssertionError(f"no {kind.__name__} was raised")
