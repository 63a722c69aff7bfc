"""Trackers keep the promises of listeners."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorafw.builtin.trackers.metrics_csv import MetricsCsv
from lorafw.builtin.trackers.mlflow import MLflow
from lorafw.builtin.trackers.plot import Plot
from lorafw.builtin.trackers.report import Report
from lorafw.builtin.trackers.tensorboard import TensorBoard
from lorafw.builtin.trackers.wandb import WandB
from lorafw.testing import ListenerContract


class TestMetricsCsv(ListenerContract):
    @pytest.fixture
    def listener(self) -> MetricsCsv:
        return MetricsCsv()


class TestPlot(ListenerContract):
    @pytest.fixture
    def listener(self) -> Plot:
        return Plot()


class TestReport(ListenerContract):
    @pytest.fixture
    def listener(self) -> Report:
        return Report()


class TestTensorBoard(ListenerContract):
    @pytest.fixture
    def listener(self) -> TensorBoard:
        return TensorBoard(flush_seconds=1)


class TestWandB(ListenerContract):
    @pytest.fixture
    def listener(self) -> WandB:
        return WandB(mode="offline", tags=("a", "b"))


class TestMLflow(ListenerContract):
    @pytest.fixture
    def listener(self, mlflow_database: Path) -> MLflow:
        return MLflow(tracking_uri=f"sqlite:///{mlflow_database}", tags={"team": "a"})
