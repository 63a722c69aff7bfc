"""A prefix is kept only where every epoch has the same micro-batches and layers stay whole."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.assembly.test_compose import fit, reason

from lorafw.assembly.registry import Registry

KEEPING = {"use": "custom", "top_layers": 1, "prefix_cache": True}
FIXED = {"composition": "fixed"}


def test_what_fits_is_kept(registry: Registry) -> None:
    parts = fit(registry, injector=KEEPING, plan=FIXED, exporters=["adapter"])
    assert parts.injector.caches_prefix


@pytest.mark.parametrize(
    ("sections", "fault"),
    [
        ({}, "needs the same micro-batches in every epoch. Set plan.composition: fixed."),
        ({"plan": {**FIXED, "neftune_alpha": 5}}, "plan.neftune_alpha, whose noise changes"),
        (
            {"plan": FIXED, "trainer": {"use": "toy", "whole": False}},
            "needs whole layers on every rank, and trainer 'toy' takes them apart",
        ),
    ],
)
def test_what_does_not_is_refused(registry: Registry, sections: dict[str, Any], fault: str) -> None:
    told = reason(registry, injector=KEEPING, exporters=["adapter"], **sections)
    assert told.startswith("injector.prefix_cache: ")
    assert fault in told


def test_nothing_is_asked_where_nothing_is_kept(registry: Registry) -> None:
    chosen = {"use": "custom", "top_layers": 1}
    assert not fit(registry, injector=chosen, exporters=["adapter"]).injector.caches_prefix
