"""What safetensors headers tell, and how damaged files are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from lorafw.errors import ModelError
from lorafw.models.headers import Stored, stored_tensors


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    tensors = {"a.weight": torch.zeros(3, 4), "b": torch.zeros(5, dtype=torch.bfloat16)}
    save_file(tensors, path, {"format": "pt"})
    return path


def test_names_dtypes_and_shapes_are_those_stored(file: Path) -> None:
    found = stored_tensors([file])
    assert found == {"a.weight": Stored("F32", (3, 4)), "b": Stored("BF16", (5,))}
    assert found["a.weight"].numbers == 12


def test_several_files_are_one_model(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"c": torch.zeros(())}, other)
    assert list(stored_tensors([file, other])) == ["a.weight", "b", "c"]


def test_a_file_cut_off_in_its_tensors_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"model\.safetensors: the file is cut off: \d+ of \d+"):
        stored_tensors([file])


def test_a_file_cut_off_in_its_header_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(ModelError, match="cut off within its header"):
        stored_tensors([file])


def test_bytes_behind_the_last_tensor_are_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"more")
    with pytest.raises(ModelError, match="damaged"):
        stored_tensors([file])


def test_a_pointer_of_git_lfs_is_named(file: Path) -> None:
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ModelError, match="git lfs pull"):
        stored_tensors([file])


@pytest.mark.parametrize(
    "header",
    [
        [],
        {"a": 1},
        {"a": {"dtype": "F32", "shape": [1]}},
        {"a": {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, "x"]}},
    ],
)
def test_a_header_that_is_none_is_refused(file: Path, header: object) -> None:
    raw = json.dumps(header).encode()
    file.write_bytes(len(raw).to_bytes(8, "little") + raw + b"\0\0\0\0")
    with pytest.raises(ModelError, match=r"no safetensors file|header is damaged"):
        stored_tensors([file])


WHOLE = save({"a": torch.zeros(2, 2), "b": torch.zeros(3)})


@settings(max_examples=60, deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=200), st.integers(0, len(WHOLE) - 1).map(lambda n: WHOLE[:n])
    )
)
def test_whatever_is_in_a_file_it_is_one_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"any\.safetensors"):
        stored_tensors([path])
