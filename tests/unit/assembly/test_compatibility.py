"""What a distribution's requirements say of lorafw."""

from __future__ import annotations

import pytest

from lorafw.assembly.compatibility import specifier_for


@pytest.mark.parametrize(
    ("requirements", "admitted", "refused"),
    [
        ([], "99", None),
        (["torch>=2"], "0.1", None),
        (["torch>=2", "lorafw>=0.1,<0.2"], "0.1.5", "0.2"),
        (["LoRAfw >= 1"], "1.0", "0.9"),
        (["lorafw>=1", "lorafw<2"], "1.5", "2.0"),
        (['lorafw>=9; extra == "next"'], "0.1", None),
        (['lorafw>=9; python_version < "3"'], "0.1", None),
        (["lorafw ???", "lorafw<1"], "0.5", "1.0"),
    ],
)
def test_the_versions_that_are_admitted(
    requirements: list[str], admitted: str, refused: str | None
) -> None:
    found = specifier_for("lorafw", requirements)
    assert found.contains(admitted)
    assert refused is None or not found.contains(refused)
