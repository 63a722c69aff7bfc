"""What is known of the base of an adapter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorafw.assembly.base_model import base_of
from lorafw.assembly.registry import Registry
from lorafw.errors import AdapterError, LorafwError
from lorafw.testing.toys import toy_folder
from lorafw.types import Task


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("base-model") / "toy")


def noted(folder: Path, *, recipe: object = None, **config: object) -> Path:
    if config:
        (folder / "adapter_config.json").write_text(json.dumps(config))
    if recipe is not None:
        (folder / "lorafw.json").write_text(json.dumps(recipe))
    return folder


def test_the_base_a_user_names_goes_before_the_adapters_own(tmp_path: Path, toy: Path) -> None:
    recipe = {"model": {"use": "auto", "path": "/gone"}, "seed": 3}
    adapter = noted(tmp_path, recipe=recipe, base_model_name_or_path="/also/gone")
    base = base_of(Registry(), adapter, str(toy), {"dtype": "fp32"})
    assert base.builder is not None
    assert base.path == str(toy)
    assert base.recipe["seed"] == 3
    assert base.recipe["model"] == {
        "use": base.recipe["model"]["use"],
        "path": str(toy),
        "dtype": "fp32",
    }
    assert base.outline is not None
    assert base.outline is base.outline  # made once
    with pytest.raises(LorafwError, match="nowhere"):
        base_of(Registry(), adapter, "nowhere", {})


def test_the_base_an_adapter_names_is_taken_if_it_is_there(tmp_path: Path, toy: Path) -> None:
    by_recipe = noted(tmp_path, recipe={"model": {"use": "auto", "path": str(toy)}})
    assert base_of(Registry(), by_recipe, None, {}).builder is not None
    by_peft = noted(tmp_path, recipe={}, base_model_name_or_path=str(toy), task_type="SEQ_CLS")
    base = base_of(Registry(), by_peft, None, {})
    assert base.builder is not None
    assert base.task is Task.CLASSIFICATION


@pytest.mark.parametrize("path", [None, "/gone", "org/on-the-hub"])
def test_one_that_is_not_there_counts_as_unknown(tmp_path: Path, path: str | None) -> None:
    adapter = noted(tmp_path, base_model_name_or_path=path, peft_type="LORA")
    base = base_of(Registry(), adapter, None, {})
    assert (base.builder, base.outline, base.path) == (None, None, path)
    with pytest.raises(AdapterError, match=r"the base model is needed to see\. .*--base PATH"):
        base.needed("see")


def test_a_file_names_no_base(tmp_path: Path) -> None:
    (tmp_path / "lora.pth").touch()
    assert base_of(Registry(), tmp_path / "lora.pth", None, {}).builder is None
