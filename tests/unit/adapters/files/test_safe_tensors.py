"""A file of tensors counts as written only when it reads back bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.adapters.files import safe_tensors
from lorafw.adapters.files.safe_tensors import stored_digests, tensor_digest, write_tensors
from lorafw.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool]
numbers = st.lists(st.integers(-100, 100), min_size=1, max_size=6)


def test_every_dtype_and_shape_reads_back(tmp_path: Path) -> None:
    tensors = {str(dtype): torch.arange(6).reshape(2, 3).to(dtype) for dtype in DTYPES}
    tensors |= {"scalar": torch.tensor(1.5), "none": torch.empty(0, 4), "turned": torch.eye(3).T}
    digests = write_tensors(tmp_path / "x.safetensors", tensors)
    assert stored_digests(tmp_path / "x.safetensors") == digests
    assert digests == {name: tensor_digest(tensor) for name, tensor in tensors.items()}
    assert len(list(tmp_path.iterdir())) == 1


def test_what_differs_when_read_back_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safe_tensors, "stored_digests", lambda _path: {})
    with pytest.raises(ExportError, match="read back is not what was written"):
        write_tensors(tmp_path / "x.safetensors", {"a": torch.ones(2)})
    assert list(tmp_path.iterdir()) == []


@settings(deadline=None)
@given(numbers, numbers)
def test_digests_are_equal_exactly_when_tensors_are(one: list[int], other: list[int]) -> None:
    first, second = (torch.tensor(values, dtype=torch.float32) for values in (one, other))
    assert (tensor_digest(first) == tensor_digest(second)) == torch.equal(first, second)


def test_digests_know_dtype_shape_and_the_sign_of_zero() -> None:
    zeros = torch.zeros(2, 2)
    others = [zeros.half(), zeros.reshape(4), -zeros, zeros.to(torch.int32)]
    assert len({tensor_digest(tensor) for tensor in [zeros, *others]}) == 5
