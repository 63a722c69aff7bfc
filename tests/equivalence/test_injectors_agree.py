"""Injectors `custom` and `peft` learn the same: every form both have, on two ranks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.equivalence.forms import ENGINES, INJECTORS
from tests.equivalence.test_same_update import launch
from torch import Tensor

from lorafw.testing.toy_training import STEPS

RELATIVE, LATER, ABSOLUTE = 1e-5, 5e-5, 3e-5
"""Values part after the first step where a gradient is all but zero: AdamW divides by its size."""

Traces = Callable[[str, str, str], dict[str, Tensor]]


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Traces:
    """Runs all forms under an engine at once, when the first of them is asked for."""
    done: dict[str, Path] = {}

    def trace(engine: str, form: str, injector: str) -> dict[str, Tensor]:
        if engine not in done:
            done[engine] = tmp_path_factory.mktemp(engine)
            launch(2, done[engine], engine, worker="forms")
        return load_file(done[engine] / f"{form}-{injector}.safetensors")

    return trace


@pytest.mark.parametrize(
    ("engine", "form"), [(engine, form) for engine, forms in ENGINES.items() for form in forms]
)
def test_every_gradient_and_value_is_the_same(traces: Traces, engine: str, form: str) -> None:
    ours, theirs = (traces(engine, form, injector) for injector in INJECTORS)
    assert ours.keys() == theirs.keys()
    gradients = [name for name in ours if name.startswith("gradient/")]
    assert len(gradients) >= STEPS * 8
    for name in gradients:
        assert theirs[name].norm() > 0, f"{name} tells nothing"
        off = float((ours[name] - theirs[name]).norm() / theirs[name].norm())
        limit = RELATIVE if name.startswith("gradient/0/") else LATER
        assert off <= limit, f"{name} is off by {off:.1e}"
    for name in ours.keys() - set(gradients):
        torch.testing.assert_close(ours[name], theirs[name], rtol=LATER, atol=ABSOLUTE)
