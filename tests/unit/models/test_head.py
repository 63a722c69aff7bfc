from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorafw.models.head import HeadForm, head_form


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("llama", HeadForm()),
        ("gemma2", HeadForm(cap=3.0)),
        ("cohere", HeadForm(scale=0.25)),
        ("granite", HeadForm(scale=1 / 3.0)),
        ("hyperclovax", HeadForm(scale=3.0)),
    ],
)
def test_the_form_is_read_from_the_config(family: Any, name: str, form: HeadForm) -> None:
    assert head_form(family(name).config) == form


def test_only_what_changes_nothing_is_plain() -> None:
    assert HeadForm().plain
    assert not HeadForm(scale=2.0).plain
    assert not HeadForm(cap=30.0).plain


@given(st.floats(-1e4, 1e4), st.floats(0.01, 10), st.floats(0.1, 50))
def test_scale_then_cap(value: float, scale: float, cap: float) -> None:
    output = torch.tensor([value], dtype=torch.float64)
    capped = HeadForm(scale, cap)(output)
    assert capped.abs().item() <= cap
    torch.testing.assert_close(capped, cap * torch.tanh(output * scale / cap))
    torch.testing.assert_close(HeadForm(scale)(output), output * scale)
