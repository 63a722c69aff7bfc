"""The model `minimind` and the exporter `minimind-pth` keep the promises of their kinds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lorafw.contracts import ExportRequest, ModelRequest
from lorafw.testing import ExporterContract, ModelContract
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.values import as_if_trained, logits_of
from lorafw.types import Encoded, Task
from lorafw_minimind.exporter import MiniMindPth
from lorafw_minimind.generations import Generation
from lorafw_minimind.lora_pth import read_lora_pth
from lorafw_minimind.model import MiniMind

ON_CPU = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
KINDS = [(generation, experts) for generation in Generation for experts in (False, True)]


class TestMiniMind(ModelContract):
    @pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}-{'moe' if kind[1] else 'dense'}")
    def model(self, request: pytest.FixtureRequest, tiny: Callable[..., MiniMind]) -> MiniMind:
        generation, experts = request.param
        return tiny(generation, experts=experts)


class TestMiniMindInBf16(ModelContract):
    @pytest.fixture
    def model(self, tiny: Callable[..., MiniMind]) -> MiniMind:
        return tiny(Generation.LMCONFIG, dtype="bf16", lora_targets="all-linear")


class TestMiniMindPth(ExporterContract):
    @pytest.fixture(autouse=True, params=list(Generation))
    def of_a_generation(
        self, request: pytest.FixtureRequest, tiny: Callable[..., MiniMind]
    ) -> None:
        self.base = tiny(request.param, experts=True)

    @pytest.fixture
    def exporter(self) -> MiniMindPth:
        return MiniMindPth(dtype="fp32", merged=True)

    def request(self, folder: Path) -> ExportRequest:
        bundle = self.base.build(ON_CPU, self.base.tokenizer())
        model = ToyInjector(r=4).inject(bundle)
        as_if_trained(model)
        return ExportRequest(model, self.base, {})

    def reload(self, folder: Path, ids: Sequence[int]) -> Tensor:
        note = json.loads((folder / "minimind.json").read_text())
        state = read_lora_pth(folder / note["lora"], self.base.architecture())
        bundle = self.base.build(ON_CPU, self.base.tokenizer())
        adapted = ToyInjector().for_spec(state.spec).inject(bundle)
        adapted.load_state(state.tensors)
        return logits_of(bundle, [Encoded(ids, ids)])
