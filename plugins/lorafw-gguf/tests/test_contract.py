"""The exporters `gguf`, `gguf-lora` and `ollama` keep the promises of their kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lorafw.contracts import ExportRequest
from lorafw.testing import ExporterContract
from lorafw_gguf.lora import GgufLora
from lorafw_gguf.merged import Gguf
from lorafw_gguf.ollama import Ollama


class _OfTheFamily(ExporterContract):
    @pytest.fixture(autouse=True)
    def of_the_family(
        self, small: Callable[..., Path], asked: Callable[..., ExportRequest]
    ) -> None:
        self.folder, self.asked = small(), asked

    def request(self, folder: Path) -> ExportRequest:
        return self.asked(self.folder)


class TestGguf(_OfTheFamily):
    @pytest.fixture
    def exporter(self) -> Gguf:
        return Gguf()


class TestGgufLora(_OfTheFamily):
    @pytest.fixture
    def exporter(self) -> GgufLora:
        return GgufLora()


class TestOllama(_OfTheFamily):
    @pytest.fixture
    def exporter(self) -> Ollama:
        return Ollama()
