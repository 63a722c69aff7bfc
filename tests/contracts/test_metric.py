"""Core's metrics keep the promises of their kind."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from typing import cast

import pytest

from lorafw.assembly.registry import Registry
from lorafw.contracts import Metric
from lorafw.testing import MetricContract

POINTS = {
    point.name: point
    for point in entry_points(group="lorafw.metrics")
    if point.dist and point.dist.name == "lorafw"
}


class TestMetric(MetricContract):
    @pytest.fixture(autouse=True)
    def all_imported_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One fresh interpreter for all, below, instead of one for each."""
        monkeypatch.setattr("lorafw.testing.component.heavy_imports", lambda _path: ())

    @pytest.fixture(params=sorted(POINTS))
    def metric(self, request: pytest.FixtureRequest) -> Metric:
        made = Registry().load("metric", request.param).from_mapping({}, where="metric")
        return cast("Metric", made)


def test_no_metric_imports_torch_or_the_library_it_needs() -> None:
    modules = ", ".join(point.module for point in POINTS.values())
    heavy = "{'torch', 'transformers', 'peft', 'rouge_score', 'sacrebleu', 'rapidfuzz'}"
    code = f"import sys, {modules}; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
