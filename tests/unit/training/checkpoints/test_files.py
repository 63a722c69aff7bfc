"""A checkpoint comes back bit for bit, and a damaged one is an error, not a guess."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorafw.errors import CheckpointError
from lorafw.training.checkpoints.files import FORMAT, Stored, read_files, write_files

STORED = Stored(
    {"fingerprint": {"seed": 0}, "progress": {"step": 5}},
    {
        "a.lora_A.weight": {
            "value": torch.tensor([[1.0, float("nan"), -0.0]]),
            "exp_avg": torch.arange(3.0).reshape(1, 3),
            "step": torch.tensor(3.0),
        }
    },
    {"importance": torch.ones(2, dtype=torch.bfloat16)},
)


def bits(tensor: torch.Tensor) -> tuple[str, list[int], bytes]:
    content = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return str(tensor.dtype), list(tensor.shape), content


def written(folder: Path) -> Path:
    folder.mkdir(parents=True)
    write_files(folder, STORED)
    return folder


def test_tensors_come_back_by_name_and_key_bit_for_bit(tmp_path: Path) -> None:
    found = read_files(written(tmp_path / "step-00000005"))
    assert found.about["progress"] == {"step": 5}
    assert list(found.state) == list(STORED.state)
    for name, tensors in STORED.state.items():
        assert {key: bits(t) for key, t in found.state[name].items()} == {
            key: bits(t) for key, t in tensors.items()
        }
    assert bits(found.method["importance"]) == bits(STORED.method["importance"])


@pytest.mark.parametrize("other", [1, 99])
def test_another_format_is_refused_in_a_sentence(tmp_path: Path, other: int) -> None:
    place = written(tmp_path / "step-00000005")
    about = {"format": other, "seed": 0, "fingerprint": {"plan": "d41d"}, "progress": {"step": 5}}
    (place / "checkpoint.json").write_text(json.dumps(about), encoding="utf-8")
    message = f"has format {other}, and this version of lorafw continues format {FORMAT} only"
    with pytest.raises(CheckpointError, match=message):
        read_files(place)


NAMES = st.sampled_from(["state.safetensors", "method.safetensors", "checkpoint.json"])


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(NAMES, st.floats(0, 0.99))
def test_a_cut_off_file_is_one_clear_error(tmp_path: Path, name: str, share: float) -> None:
    place = tmp_path / f"{name}-{share}" / "step-00000005"
    if not place.exists():
        written(place)
    content = (place / name).read_bytes()
    (place / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError):
        read_files(place)


def test_one_flipped_bit_is_seen(tmp_path: Path) -> None:
    place = written(tmp_path / "step-00000005")
    content = bytearray((place / "state.safetensors").read_bytes())
    content[-1] ^= 1
    (place / "state.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"state\.safetensors: is damaged"):
        read_files(place)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    place = written(tmp_path / "step-00000005")
    (place / "method.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_files(place)
