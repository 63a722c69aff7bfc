"""Adapters in other formats than lorafw's own, loaded as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import lorafw
from lorafw.adapters.conversion.pickled_adapter import pickle_tensors
from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.errors import AdapterError
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import toy_bundle, toy_folder
from lorafw.testing.values import as_if_trained, logits_of
from lorafw.types import Encoded

IDS = (5, 9, 11, 4, 7)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A folder with its tensors in a pickle, and the logits beside it."""
    model = ToyInjector(r=2).inject(toy_bundle())
    as_if_trained(model)
    folder = tmp_path / "adapter"
    folder.mkdir()
    write_adapter(folder, model.state(), base_path=None, recipe={})
    pickle_tensors(folder)
    torch.save(logits_of(model.bundle, [Encoded(IDS, IDS)]), tmp_path / "logits.pt")
    return folder


def test_a_pickled_adapter_is_loaded(adapter: Path, tmp_path: Path) -> None:
    pytest.importorskip("lorafw_peft")
    base = toy_folder(tmp_path / "base")
    found = lorafw.load(adapter, base=base, device="cpu").logits(IDS)
    wanted = torch.load(tmp_path / "logits.pt", weights_only=True)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def test_one_of_another_base_is_refused(adapter: Path, tmp_path: Path) -> None:
    base = toy_folder(tmp_path / "base", num_hidden_layers=1)
    with pytest.raises(AdapterError, match=r"adapter: the base has no module model\.layers\.1"):
        lorafw.load(adapter, base=base, device="cpu")
