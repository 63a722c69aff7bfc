from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from lorafw.adapters.files import tensor_stream
from lorafw.adapters.files.tensor_stream import TensorStream
from lorafw.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(DTYPES), st.integers(0, 5), st.integers(1, 4)), max_size=9)
)
def test_what_is_written_is_what_safetensors_reads(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[tuple[torch.dtype, int, int]]
) -> None:
    path = tmp_path_factory.mktemp("stream") / "model.safetensors"
    stream, written = TensorStream(path), {}
    for number, (dtype, rows, columns) in enumerate(kinds):
        tensor = torch.randint(0, 2, (rows, columns)).to(dtype)
        if stream.takes(f"t{number}", tensor):
            stream.add(f"t{number}", tensor)
            written[f"t{number}"] = tensor
    stream.finish()
    found = load_file(path)
    assert found.keys() == written.keys()
    for name, tensor in written.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_a_view_is_written_as_it_looks(tmp_path: Path) -> None:
    stream = TensorStream(tmp_path / "a.safetensors")
    tensor = torch.arange(6.0).view(2, 3).t()
    stream.add("t", tensor)
    stream.finish()
    assert torch.equal(load_file(tmp_path / "a.safetensors")["t"], tensor)


def test_uneven_places_are_not_taken(tmp_path: Path) -> None:
    stream = TensorStream(tmp_path / "a.safetensors")
    stream.add("odd", torch.ones(3, dtype=torch.uint8))
    assert not stream.takes("next", torch.ones(2))
    assert stream.takes("next", torch.ones(2, dtype=torch.uint8))


def test_names_beyond_the_room_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_stream, "_ROOM", 200)
    stream = TensorStream(tmp_path / "a.safetensors")
    stream.add("first", torch.ones(2))
    assert not stream.takes("second" * 20, torch.ones(2))
    stream.finish()
    assert load_file(tmp_path / "a.safetensors").keys() == {"first"}


def test_nothing_has_its_name_before_it_was_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    stream = TensorStream(path)
    stream.add("t", torch.ones(2))
    assert not path.exists()
    monkeypatch.setattr(tensor_stream, "stored_digests", lambda _: {"t": "other"})
    with pytest.raises(ExportError, match="read back"):
        stream.finish()
    assert not path.exists()


def test_a_dtype_that_files_cannot_hold_is_told(tmp_path: Path) -> None:
    stream = TensorStream(tmp_path / "a.safetensors")
    with pytest.raises(ExportError, match="complex64"):
        stream.add("t", torch.ones(2, dtype=torch.complex64))
