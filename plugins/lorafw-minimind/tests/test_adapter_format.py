"""MiniMind's LoRA files as an adapter format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import lorafw
from lorafw.adapters.conversion.conversion import write_format
from lorafw.builtin.auto import Auto
from lorafw.cli.main import main
from lorafw.contracts import AdapterBase, ModelRequest
from lorafw.errors import AdapterError
from lorafw.testing import AdapterFormatContract
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import toy_folder, toy_tokenizer
from lorafw.testing.values import as_if_trained
from lorafw.types import AdapterState, Task
from lorafw_minimind.adapter_format import MiniMindLora
from lorafw_minimind.generations import Generation
from lorafw_minimind.model import MiniMind

FOLDERS = [
    f"{generation}-{kind}"
    for generation in ("2025-02-lmconfig", "2025-04-minimind2", "2026-head-minimind3")
    for kind in ("dense", "moe")
]


def trained_state(builder: MiniMind) -> AdapterState:
    bundle = builder.build(ModelRequest(Task.CAUSAL_LM, torch.device("cpu")), builder.tokenizer())
    model = ToyInjector(r=4, alpha=6.0, rank_pattern={"q_proj": 2}).inject(bundle)
    as_if_trained(model)
    return model.state()


class TestMiniMindLora(AdapterFormatContract):
    name = "lora.pth"

    @pytest.fixture(autouse=True, params=list(Generation))
    def of_a_generation(
        self, request: pytest.FixtureRequest, tiny: Callable[..., MiniMind]
    ) -> None:
        self.builder = tiny(request.param)

    @pytest.fixture
    def adapter_format(self) -> MiniMindLora:
        return MiniMindLora()

    def base(self, folder: Path) -> AdapterBase:
        return AdapterBase(self.builder, self.builder.path)

    def state(self) -> AdapterState:
        return trained_state(self.builder)


def convert(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["adapter", "convert", *map(str, arguments)])


def note_injector(adapter: Path, name: str) -> None:
    """Let an adapter be loaded with a certain injector, if that is installed."""
    file = adapter / "lorafw.json"
    recipe = json.loads(file.read_text())
    file.write_text(json.dumps({**recipe, "injector": {"use": name}}))


@torch.no_grad()
@pytest.mark.parametrize("folder", FOLDERS)
def test_files_of_every_generation_there_and_back(
    shared: Path, tmp_path: Path, folder: str
) -> None:
    golden = shared / "golden" / "minimind" / folder
    toy_tokenizer().save_pretrained(tmp_path / "words")
    options = ["base.n_heads=4", f"base.tokenizer_path={tmp_path / 'words'}"]
    flags = [word for option in options for word in ("-o", option)]
    base: list[str | Path] = ["--base", golden / "model.pth", *flags]
    there = convert(golden / "lora.pth", tmp_path / "adapter", "--to", "peft", *base)
    assert there.exit_code == 0, there.output
    assert "as minimind: " in there.output
    assert "bit for bit the same" in there.output
    arrays = np.load(golden / "arrays.npz")
    ids, wanted = arrays["input_ids"][0].tolist(), torch.tensor(arrays["logits_lora"][0])
    for injector, merged in (("custom", False), ("peft", False), ("custom", True), ("peft", True)):
        note_injector(tmp_path / "adapter", injector)  # the recipe says where the base is
        model = lorafw.load(tmp_path / "adapter", device="cpu", adapter_merged=merged)
        torch.testing.assert_close(model.logits(ids), wanted, atol=1e-4, rtol=0)
    back = convert(tmp_path / "adapter", tmp_path / "lora.pth", "--to", "minimind")
    assert back.exit_code == 0, back.output
    ours, theirs = (
        torch.load(file, weights_only=True) for file in (tmp_path / "lora.pth", golden / "lora.pth")
    )
    assert ours.keys() == theirs.keys()
    assert all(ours[name].dtype == theirs[name].dtype for name in theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_fp32_keeps_what_fp16_rounds(tiny: Callable[..., MiniMind], tmp_path: Path) -> None:
    builder = tiny(Generation.MINIMIND3)
    state, base = trained_state(builder), AdapterBase(builder)
    rounded = write_format(state, MiniMindLora(), tmp_path / "fp16.pth", base)
    exact = write_format(state, MiniMindLora(dtype="fp32"), tmp_path / "fp32.pth", base)
    assert exact.change < 1e-6 < rounded.change < 2e-3


def test_the_base_must_be_known_and_a_minimind(tmp_path: Path) -> None:
    torch.save({"layers.0.attention.wq.lora.A.weight": torch.ones(2, 8)}, tmp_path / "lora.pth")
    assert MiniMindLora.recognises(tmp_path / "lora.pth")
    with pytest.raises(AdapterError, match=r"needed to know the file's generation.*--base PATH"):
        MiniMindLora().read(tmp_path / "lora.pth", AdapterBase())
    llama = Auto.from_mapping({"path": str(toy_folder(tmp_path / "llama"))}, where="model")
    with pytest.raises(AdapterError, match="the base is no MiniMind model"):
        MiniMindLora().read(tmp_path / "lora.pth", AdapterBase(llama))
