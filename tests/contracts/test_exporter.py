"""Core's exporters keep the promises of their kind."""

from __future__ import annotations

import pytest

from lorafw.builtin.adapter_exporter import AdapterExporter
from lorafw.builtin.merged_exporter import MergedExporter
from lorafw.testing import ExporterContract


class TestAdapterExporter(ExporterContract):
    @pytest.fixture
    def exporter(self) -> AdapterExporter:
        return AdapterExporter()


class TestMergedExporter(ExporterContract):
    @pytest.fixture(params=["2GB", "10kB"])
    def exporter(self, request: pytest.FixtureRequest) -> MergedExporter:
        options = {"max_shard_size": request.param}
        return MergedExporter.from_mapping(options, where="exporters.merged")
