"""Files of tensors that others wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lorafw.adapters.files.tensor_files import names_inside, plain_tensors, write_pickle
from lorafw.errors import AdapterError

TENSORS = {"layers.0.A.weight": torch.ones(2, 3), "layers.0.B.weight": torch.zeros(3, 2).half()}


def write(file: Path, kind: str) -> Path:
    if kind == "safetensors":
        file = file.with_suffix(".safetensors")
        save_file(TENSORS, file)
    elif kind == "legacy":
        torch.save(TENSORS, file, _use_new_zipfile_serialization=False)
    else:
        write_pickle(file, TENSORS)
    return file


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_names_are_seen_without_reading_and_tensors_are_read(tmp_path: Path, kind: str) -> None:
    file = write(tmp_path / "lora.bin", kind)
    assert b"layers.0.A.weight" in names_inside(file)
    found = plain_tensors(file)
    assert found.keys() == TENSORS.keys()
    assert all(found[name].equal(tensor) for name, tensor in TENSORS.items())


@pytest.mark.parametrize("content", [b"", b"no tensors", b"PK\x03\x04 cut off", b"\x80\x02]."])
@pytest.mark.parametrize("ending", [".bin", ".safetensors"])
def test_other_files_have_no_names_and_are_one_error(
    tmp_path: Path, content: bytes, ending: str
) -> None:
    file = tmp_path / f"odd{ending}"
    file.write_bytes(content)
    assert b"layers" not in names_inside(file)
    with pytest.raises(AdapterError) as caught:
        plain_tensors(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


def test_what_is_not_there(tmp_path: Path) -> None:
    assert names_inside(tmp_path / "nowhere.bin") == names_inside(tmp_path) == b""
    for name in ("nowhere.bin", "nowhere.safetensors"):
        with pytest.raises(AdapterError, match=rf"{name}: cannot be read"):
            plain_tensors(tmp_path / name)


def test_views_of_one_tensor_are_written_apart(tmp_path: Path) -> None:
    whole = torch.arange(1000.0)
    file = write_pickle(tmp_path / "lora.bin", {"a": whole[:2], "b": whole[:2]})
    found = torch.load(file, weights_only=True)
    assert found["a"].untyped_storage().nbytes() == 8
    assert found["a"].data_ptr() != found["b"].data_ptr()


def test_prefixes_of_wrappers_are_dropped(tmp_path: Path) -> None:
    wrapped = {f"_orig_mod.module.{name}": tensor for name, tensor in TENSORS.items()}
    assert plain_tensors(write_pickle(tmp_path / "lora.bin", wrapped)).keys() == TENSORS.keys()
