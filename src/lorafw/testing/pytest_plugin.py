"""What pytest loads at every start: it shows the values in the kit's assertions."""

from __future__ import annotations

import re

import pytest

from lorafw import testing


def _module(contract: str) -> str:
    """The module of a contract class: that of `AdapterFormatContract` is `adapter_format`."""
    words = re.findall("[A-Z][a-z]*", contract.removesuffix("Contract"))
    return f"lorafw.testing.{'_'.join(words).lower()}"


pytest.register_assert_rewrite(
    "lorafw.testing.promise",
    *(_module(name) for name in testing.__all__ if name.endswith("Contract")),
)
