"""The exporter keeps the promises of its kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lorafw.contracts import Exporter, ExportRequest
from lorafw.stages.memory import stored
from lorafw.testing import ExporterContract
from lorafw.training.checkpoints.files import write_files
from lorafw_continual.trace_exporter import TraceExporter


class TestTrace(ExporterContract):
    @pytest.fixture
    def exporter(self) -> Exporter:
        return TraceExporter()

    def request(self, folder: Path) -> ExportRequest:
        """As a run of two tasks leaves it after the last stage."""
        request, run = super().request(folder), folder / "run"
        live = request.model.trainable()
        run.mkdir()
        (run / "run.yaml").write_text("tasks: [{name: first}, {name: second}]", "utf-8")
        for number, name in enumerate(("first", "second")):
            place = run / "stages" / name
            place.mkdir(parents=True)
            values = {key: value.detach() / (2 - number) for key, value in live.items()}
            write_files(place, stored(values, number=number, task=name))
        return replace(request, run=run)
