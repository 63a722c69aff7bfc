from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lorafw.contracts.engine import World
from lorafw.errors import CheckpointError, UsageError
from lorafw.stages.memory import RunMemory, facts_of, stored, tensors_of
from lorafw.training.checkpoints.files import Stored

ALONE = World(0, 1, torch.device("cpu"))


def memory(folder: Path, *, resumed: bool = True, **job: Any) -> RunMemory:
    known: Any = {"seed": 1, "fingerprint": {}, "accept_changed": (), "resume": resumed, **job}
    return RunMemory(folder, ALONE, SimpleNamespace(**known))


def numbered(number: int) -> Stored:
    return stored({"a": torch.full((2,), float(number))}, number=number)


def never() -> Stored:
    raise AssertionError("it was asked again")


def test_what_was_made_is_remembered_by_the_next_process(tmp_path: Path) -> None:
    first, known = memory(tmp_path).once("stages/one", lambda: numbered(7))
    assert not known
    again, known = memory(tmp_path).once("stages/one", never)
    assert known
    for found in (first, again):
        assert facts_of(found) == {"number": 7}
        assert tensors_of(found)["a"].tolist() == [7.0, 7.0]


def test_facts_need_no_tensors(tmp_path: Path) -> None:
    memory(tmp_path).once("scores/one/task", lambda: stored(figures={"loss": 1.5}))
    found, _ = memory(tmp_path).once("scores/one/task", never)
    assert facts_of(found) == {"figures": {"loss": 1.5}}


def test_a_new_run_remembers_nothing(tmp_path: Path) -> None:
    memory(tmp_path).once("one", lambda: numbered(1))
    found, known = memory(tmp_path, resumed=False).once("one", lambda: numbered(2))
    assert not known
    assert facts_of(found) == {"number": 2}


def test_a_name_is_asked_for_once(tmp_path: Path) -> None:
    here = memory(tmp_path)
    here.once("one", lambda: numbered(1))
    with pytest.raises(UsageError, match="'one' twice"):
        here.once("one", lambda: numbered(1))


@pytest.mark.parametrize("name", ["", "a//b", "../out", "a b", "/root", "é"])
def test_a_name_must_do_for_a_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a folder"):
        memory(tmp_path).once(name, lambda: numbered(1))


def test_what_was_damaged_is_refused(tmp_path: Path) -> None:
    memory(tmp_path).once("one", lambda: numbered(1))
    file = tmp_path / "one" / "state.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        memory(tmp_path).once("one", never)


def test_a_half_written_folder_is_not_there(tmp_path: Path) -> None:
    def dies() -> Stored:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        memory(tmp_path).once("one", dies)
    _, known = memory(tmp_path).once("one", lambda: numbered(3))
    assert not known


def test_what_another_run_left_is_refused_unless_accepted(tmp_path: Path) -> None:
    before, after = ({"scenario": {"class": "ewc", "gamma": value}} for value in (0.9, 0.5))
    memory(tmp_path, fingerprint=before).once("one", lambda: numbered(1))
    with pytest.raises(CheckpointError, match=r"scenario\.gamma: 0\.9 -> 0\.5"):
        memory(tmp_path, fingerprint=after).once("one", never)
    accepting = memory(tmp_path, fingerprint=after, accept_changed=("scenario",))
    assert accepting.once("one", never)[1]
