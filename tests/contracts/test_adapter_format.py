"""Core's adapter formats keep the promises of their kind."""

from __future__ import annotations

import pytest

from lorafw.builtin.adapter_formats.peft import Peft
from lorafw.builtin.adapter_formats.peft_bin import PeftBin
from lorafw.builtin.adapter_formats.trace import Trace
from lorafw.testing import AdapterFormatContract


class TestPeft(AdapterFormatContract):
    @pytest.fixture
    def adapter_format(self) -> Peft:
        return Peft()


class TestPeftBin(AdapterFormatContract):
    @pytest.fixture
    def adapter_format(self) -> PeftBin:
        return PeftBin()


class TestTrace(AdapterFormatContract):
    @pytest.fixture
    def adapter_format(self) -> Trace:
        return Trace(lora_scaling=3.0)


class TestTraceAsSafetensors(AdapterFormatContract):
    name = "adapter.safetensors"

    @pytest.fixture
    def adapter_format(self) -> Trace:
        return Trace()
