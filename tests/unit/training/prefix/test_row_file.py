"""A file of tensors gives them back to the bit, takes no memory, and leaves nothing behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lorafw.training.prefix.row_file import RowFile

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
shapes = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 60), st.integers(1, 33)), min_size=1)


def row_file(folder: Path, spare: int = 0, said: list[str] | None = None) -> RowFile:
    return RowFile(folder, spare, [].append if said is None else said.append)


def own_bytes() -> int:
    """Resident memory of this process without pages of files; Linux only."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(torch.uint8)


@settings(max_examples=25, deadline=None)
@given(sizes=shapes, dtype=st.sampled_from(DTYPES), seed=st.integers(0, 99))
def test_tensors_come_back_to_the_bit(
    sizes: list[tuple[int, int, int]],
    dtype: torch.dtype,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    chance = torch.Generator().manual_seed(seed)
    made = {
        number.to_bytes(16, "big"): torch.randn(size, generator=chance).to(dtype)
        for number, size in enumerate(sizes)
    }
    with row_file(tmp_path_factory.mktemp("rows")) as kept:
        for key, tensor in made.items():
            kept.add(key, tensor)
        assert len(kept) == len(made)
        for key, tensor in reversed(made.items()):
            found = kept.read(key, tensor.shape)
            assert found.dtype is dtype
            assert torch.equal(bits(found), bits(tensor))


def test_numbers_that_are_none_and_slices_are_kept_as_they_are(tmp_path: Path) -> None:
    odd = torch.tensor([[float("nan"), -0.0, float("inf")], [1.0, 2.0, 3.0]])
    with row_file(tmp_path) as kept:
        kept.add(b"odd", odd)
        kept.add(b"slice", odd.t()[1:])
        assert torch.equal(bits(kept.read(b"odd", odd.shape)), bits(odd))
        assert torch.equal(bits(kept.read(b"slice", torch.Size((2, 2)))), bits(odd.t()[1:]))


def test_what_is_read_can_be_written_into_and_outlives_the_file(tmp_path: Path) -> None:
    ones = torch.ones(5, 7)
    with row_file(tmp_path) as kept:
        kept.add(b"ones", ones)
        first = kept.read(b"ones", ones.shape)
        first.zero_()
        second = kept.read(b"ones", ones.shape)
    assert torch.equal(second, ones)
    assert not first.any()


def test_the_file_has_no_name_and_is_in_the_folder_that_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "one" / "two"
    with row_file(folder) as kept:
        kept.add(b"a", torch.ones(3))
        assert not list(folder.iterdir())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells it")
def test_memory_does_not_grow_with_what_is_kept_or_read(tmp_path: Path) -> None:
    rows = torch.ones(64, 1024)
    with row_file(tmp_path) as kept:
        kept.add(b"first", rows)
        before = own_bytes()
        for number in range(400):
            kept.add(number.to_bytes(16, "big"), rows)
        for number in range(400):
            assert kept.read(number.to_bytes(16, "big"), rows.shape)[-1, -1] == 1
        assert own_bytes() - before < 20 * rows.nbytes < 400 * rows.nbytes / 10


def test_room_is_left_for_others_and_the_end_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr("lorafw.training.prefix.row_file.shutil.disk_usage", lambda _: usage)
    said: list[str] = []
    with row_file(tmp_path, spare=600, said=said) as kept:
        kept.add(b"fits", torch.ones(100))
        kept.add(b"does not", torch.ones(101))
        kept.add(b"would, but is too late", torch.ones(1))
        assert [key in kept for key in (b"fits", b"does not", b"would, but is too late")] == [
            True,
            False,
            False,
        ]
        assert torch.equal(kept.read(b"fits", torch.Size((100,))), torch.ones(100))
    assert said == [os.strerror(errno.ENOSPC)]


def test_a_disk_that_fails_half_way_spoils_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with row_file(tmp_path, said=said) as kept:
        kept.add(b"whole", torch.ones(9))

        def fail(_: object) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(kept, "_write", fail)
        kept.add(b"torn", torch.ones(9))
        assert b"torn" not in kept
        assert torch.equal(kept.read(b"whole", torch.Size((9,))), torch.ones(9))
    assert said == [os.strerror(errno.EIO)]
