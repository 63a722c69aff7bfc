from __future__ import annotations

import subprocess
import sys

import pytest

import lorafw


@pytest.mark.parametrize("name", lorafw.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(lorafw, name).__name__ == name
    assert name in dir(lorafw)


def test_there_are_no_others() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = lorafw.no_such_name


def test_importing_lorafw_costs_nothing() -> None:
    code = "import sys, lorafw; assert not {'torch', 'pydantic', 'lorafw.types'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
