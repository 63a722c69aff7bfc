"""From paths to names and models, in every way that adapters can be served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import lorafw
from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.errors import AdapterError, UsageError
from lorafw.inference.adapter_set import AdapterSet
from lorafw.inference.generation.sampling import Sampling
from lorafw.inference.loaded import LoadedModel
from lorafw.models import folder as folders
from lorafw.serving.catalogue_loading import load_catalogue
from lorafw.serving.refusals import Refusal
from lorafw.testing.toys import toy_folder
from lorafw.types import AdapterSpec, AdapterState, canonical_pair

TARGET = "model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("base") / "small")


def write(folder: Path, base: Path, seed: int = 0, **spec: Any) -> Path:
    """An adapter on the toy base, as a run leaves it."""
    down, up = canonical_pair(TARGET)
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        down: torch.randn(4, 32, generator=generator),
        up: torch.randn(32, 4, generator=generator),
    }
    described = AdapterSpec(rank=4, alpha=8.0, targets=(TARGET,), **spec)
    recipe = {
        "lorafw": "0.1.0",
        "base": folders.identity(base),
        "model": {"use": "auto", "path": str(base)},
        "encoder": {"use": "prompt", "separator": " "},
        "injector": {"use": "peft"},
        "seed": 0,
    }
    folder.mkdir(parents=True)
    write_adapter(folder, AdapterState(described, tensors), base_path=str(base), recipe=recipe)
    return folder


def test_a_base_alone(base: Path) -> None:
    found = load_catalogue(str(base), device="cpu")
    assert found.adapters == {"small": None}
    assert found.base == "small"
    assert found.card("small")["parent"] is None
    with pytest.raises(Refusal) as refused:
        found.card("else")
    assert refused.value.status == 404


def test_an_adapter_and_its_base_by_the_names_of_their_folders(base: Path, tmp_path: Path) -> None:
    run = write(tmp_path / "support" / "adapter", base).parent
    found = load_catalogue(str(run / "adapter"), device="cpu")
    assert dict(found.adapters) == {"small": None, "support": "support"}
    assert found.card("support")["parent"] == "small"
    named = load_catalogue(str(run / "adapter"), name="mine", device="cpu")
    assert list(named.adapters) == ["small", "mine"]


def test_more_adapters_are_mixed_on_one_base(base: Path, tmp_path: Path) -> None:
    first, second = write(tmp_path / "one", base, 1), write(tmp_path / "two", base, 2)
    for path, more in ((base, [("one", str(first))]), (first, [])):
        found = load_catalogue(str(path), [*more, ("two", str(second))], device="cpu")
        assert list(found.adapters) == ["small", "one", "two"]
        assert isinstance(found.model, AdapterSet)
        assert found.model.mixed


def test_an_adapter_that_cannot_share_its_base_is_served_alone(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "tuned", base)

    def refuse(_self: AdapterSet, *_given: object) -> None:
        raise AdapterError("cannot share a base with other adapters.")

    monkeypatch.setattr(AdapterSet, "add", refuse)
    for found in (
        load_catalogue(str(path), device="cpu"),
        load_catalogue(str(base), [("tuned", str(path))], device="cpu"),
    ):
        assert isinstance(found.model, LoadedModel)
        assert not found.model.mixed
        answers = [
            found.model.pieces(found.model.begin("the cat", Sampling(max_new_tokens=9), adapter))
            for adapter in found.adapters.values()
        ]
        texts = ["".join(pieces) for pieces in answers]
        alone = lorafw.load(path, device="cpu")
        assert texts == [
            alone.generate("the cat", adapter=on, max_new_tokens=9) for on in (False, True)
        ]
    with pytest.raises(AdapterError, match="tuned: cannot share"):
        load_catalogue(str(path), [("again", str(path))], device="cpu")


def test_requests_of_adapted_experts_are_not_mixed(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: AdapterSet, _rows: object, adapters: object) -> None:
        assert adapters == [None, "tuned"]
        raise AdapterError("does not see requests row by row.")

    path = write(tmp_path / "tuned", base)
    monkeypatch.setattr(AdapterSet, "logits", refuse)
    found = load_catalogue(str(path), device="cpu")
    assert isinstance(found.model, AdapterSet)
    assert not found.model.mixed


def test_a_base_makes_way_for_an_adapter_of_its_name(base: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "small", base)
    for found in (
        load_catalogue(str(path), device="cpu"),
        load_catalogue(str(base), [("small", str(path))], device="cpu"),
    ):
        assert dict(found.adapters) == {"small-base": None, "small": "small"}


def test_two_models_of_one_name_are_refused(base: Path, tmp_path: Path) -> None:
    path = str(write(tmp_path / "tuned", base))
    with pytest.raises(UsageError, match="two models would be called 'x'"):
        load_catalogue(str(base), [("x", path)], name="x")
    with pytest.raises(UsageError, match="two models would be called 'tuned'"):
        load_catalogue(path, [("tuned", path)])


def test_an_adapter_of_another_base_is_refused(base: Path, tmp_path: Path) -> None:
    other = toy_folder(tmp_path / "other", seed=3)
    path = write(tmp_path / "tuned", other)
    with pytest.raises(AdapterError, match="was trained on the base model"):
        load_catalogue(str(base), [("tuned", str(path))])
