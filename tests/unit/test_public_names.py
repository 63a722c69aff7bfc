from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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


def test_a_program_that_uses_lorafw_is_left_as_it_was() -> None:
    program = Path(__file__).with_name("no_side_effects.py")
    done = subprocess.run(
        [sys.executable, str(program)], check=True, capture_output=True, text=True, timeout=120
    )
    found = json.loads(done.stdout)
    assert found["answer"]
    assert (found["imported"], found["asked"]) == ({}, {})


def test_models_side_by_side_do_not_disturb_each_other() -> None:
    first, second = lorafw.load("lorafw:demo"), lorafw.load("lorafw:demo")
    alone = first.generate("The camel", max_new_tokens=8)
    pieces = first.stream("The camel", max_new_tokens=8), second.stream("The", max_new_tokens=8)
    said = ["", ""]
    for both in zip(*pieces, strict=False):
        said = [text + piece for text, piece in zip(said, both, strict=True)]
    assert said[0] in (alone, alone[: len(said[0])])
    assert said[0]
    assert second.generate("The", max_new_tokens=8).startswith(said[1])
    assert first.bundle.module is not second.bundle.module
