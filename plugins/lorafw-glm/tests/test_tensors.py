from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lorafw.errors import ModelError
from lorafw.models.folder import content_identity
from lorafw_glm._tensors import stored_tensors
from lorafw_glm.checkpoint import original_weight_files

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.float16)}


def write(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return path


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_everything_is_read(tmp_path: Path, name: str) -> None:
    found = dict(stored_tensors([write(tmp_path / name, TENSORS)]))
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in TENSORS.items())


def test_files_of_older_torch_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=False)
    assert torch.equal(dict(stored_tensors([path]))["a"], TENSORS["a"])


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_that_is_cut_off_is_one_error(tmp_path: Path, name: str, share: float) -> None:
    whole = write(tmp_path / name, {"a": torch.rand(50, 50)})
    whole.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    with pytest.raises(ModelError, match=rf"{name}: cannot be read.*fetch it again"):
        list(stored_tensors([whole]))


def test_a_pickle_of_code_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": TENSORS["a"], "run": print}, path)
    with pytest.raises(ModelError, match="more than tensors; it could run code"):
        list(stored_tensors([path]))


@pytest.mark.parametrize("content", [[1, 2], {"a": 3}, {"model": {"a": torch.ones(2)}}])
def test_a_pickle_of_other_things_is_an_error(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(content, path)
    with pytest.raises(ModelError, match="more than named tensors"):
        list(stored_tensors([path]))


def test_a_tensor_that_comes_twice_is_an_error(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n}.safetensors", TENSORS) for n in (1, 2)]
    with pytest.raises(ModelError, match=r"2\.safetensors: a is there for the second time"):
        list(stored_tensors(files))


def test_safetensors_go_before_pickles(tmp_path: Path) -> None:
    write(tmp_path / "pytorch_model.bin", TENSORS)
    assert [p.name for p in original_weight_files(tmp_path)] == ["pytorch_model.bin"]
    write(tmp_path / "model.safetensors", TENSORS)
    assert [p.name for p in original_weight_files(tmp_path)] == ["model.safetensors"]


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    write(tmp_path / "pytorch_model-1.bin", TENSORS)
    with pytest.raises(ModelError, match=r"pytorch_model-2\.bin is missing, though"):
        original_weight_files(tmp_path)


def test_no_weights_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"no weights\. Needed: model\.safetensors or pytorch_model"
    ):
        original_weight_files(tmp_path)


def test_the_identity_follows_the_content(
    make_original: Callable[..., Path], tensors: dict[str, torch.Tensor]
) -> None:
    first, same = make_original(name="first"), make_original(name="same")
    tensors["transformer.encoder.final_layernorm.weight"][0] += 1
    other = make_original(tensors, name="other")
    one, again, changed = (
        content_identity({"x": 1}, original_weight_files(f)) for f in (first, same, other)
    )
    assert one == again != changed
    assert content_identity({"x": 2}, original_weight_files(first)) != one
