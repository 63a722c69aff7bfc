"""What pytest loads at every start: it shows the values in the kit's assertions."""

from __future__ import annotations

import pytest

from lorafw import testing

pytest.register_assert_rewrite(
    "lorafw.testing.promise",
    *(
        f"lorafw.testing.{name.removesuffix('Contract').lower()}"
        for name in testing.__all__
        if name.endswith("Contract")
    ),
)
