from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lorafw.errors import AdapterError, ModelError
from lorafw.inference.place import find


def edit(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def test_a_base_model_is_asked_with_its_own_encoder(toy: Path) -> None:
    place = find(toy)
    assert place.model == {"use": "auto", "path": str(toy)}
    assert (place.encoder, place.adapter, place.merged) == (None, None, False)


def test_an_adapter_says_how_it_is_asked(adapter: Path, recipe: dict[str, Any]) -> None:
    place = find(adapter)
    assert place.adapter == adapter
    assert (place.model, place.encoder) == (recipe["model"], recipe["encoder"])
    assert (place.injector, place.base) == (recipe["injector"]["use"], recipe["base"])


def test_a_run_is_its_adapter(adapter: Path) -> None:
    run = adapter.parent
    (run / "run.yaml").touch()
    assert find(run) == find(adapter)


def test_a_run_with_a_merged_model_only_is_that_model(toy: Path, tmp_path: Path) -> None:
    merged = Path(shutil.copytree(toy, tmp_path / "merged"))
    (tmp_path / "run.yaml").touch()
    encoder = {"use": "prompt"}
    made_by = {"use": "llama", "path": "/gone", "tokenizer_path": "/gone", "dtype": "bf16"}
    recipe = {"model": made_by, "encoder": encoder, "merged": True}
    (merged / "lorafw.json").write_text(json.dumps(recipe))
    place = find(tmp_path)
    assert place.model == {"use": "llama", "path": str(merged)}
    assert (place.encoder, place.adapter, place.merged) == (encoder, None, True)


def test_a_run_without_a_model_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").touch()
    with pytest.raises(AdapterError, match="exported no model"):
        find(tmp_path)


def test_another_base_may_be_named(adapter: Path, tmp_path: Path) -> None:
    place = find(adapter, base=tmp_path)
    assert place.model == {"use": "auto", "path": str(tmp_path)}


def test_an_adapter_of_peft_names_its_base_itself(adapter: Path, toy: Path) -> None:
    (adapter / "lorafw.json").unlink()
    place = find(adapter)
    assert place.model == {"use": "auto", "path": str(toy)}
    assert (place.encoder, place.base, place.injector) == (None, "", "")


def test_an_adapter_that_names_no_base_is_an_error(adapter: Path, toy: Path) -> None:
    (adapter / "lorafw.json").unlink()
    edit(adapter / "adapter_config.json", base_model_name_or_path=None)
    with pytest.raises(AdapterError, match="does not name its base"):
        find(adapter)
    assert find(adapter, base=toy).model["path"] == str(toy)


@pytest.mark.parametrize("model", ["auto", {"path": "x"}, {"use": 3}])
def test_a_recipe_that_is_none_is_an_error(adapter: Path, model: Any) -> None:
    edit(adapter / "lorafw.json", model=model)
    with pytest.raises(AdapterError, match=r"lorafw\.json: model: should be an object"):
        find(adapter)


def test_a_folder_with_nothing_known_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json: the file is missing"):
        find(tmp_path)
