"""After the fact: what fails leaves nothing, and does not keep the others back."""

from __future__ import annotations

import gc
import resource
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.unit.certification.conftest import Toy

from lorafw.builtin import _shards
from lorafw.builtin.merged_exporter import MergedExporter
from lorafw.certification import exporting
from lorafw.certification.exporting import Exported, export_all
from lorafw.certification.live import Live
from lorafw.certification.targets import targets_of
from lorafw.errors import ExportError


def export(
    toy: Toy, out: Path, *wishes: str, accept_loss: bool = False, force: bool = False
) -> dict[str, Exported]:
    targets = targets_of(wishes, toy.adapter, out, accept_loss=accept_loss, force=force)
    found = export_all(targets, toy.live, lambda _stage: None)
    return {done.target.name: done for done in found}


def spoilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one weight be written with the wrong sign."""
    real = _shards.ShardWriter.add

    def add(writer: Any, name: str, tensor: Any) -> None:
        real(writer, name, -tensor if name.endswith("0.self_attn.q_proj.weight") else tensor)

    monkeypatch.setattr(_shards.ShardWriter, "add", add)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: the system refuses it as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_one_that_fails_does_not_keep_the_other_back(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt(monkeypatch)
    done = export(toy, tmp_path / "out", "merged", "adapter")
    assert "it computes something else" in str(done["merged"].fault)
    assert done["adapter"].certificate is not None
    assert names(tmp_path / "out") == ["adapter"]


def test_a_disk_that_fills_up_leaves_nothing(toy: Toy, tmp_path: Path) -> None:
    targets = targets_of(["merged"], toy.adapter, tmp_path / "out", accept_loss=False, force=False)
    live = toy.live()
    with small_files(50_000):
        (done,) = export_all(targets, lambda: live, lambda _stage: None)
    assert "cannot be written: File too large" in str(done.fault)
    assert not list(tmp_path.iterdir())


def test_too_little_room_is_said_before_anything_is_written(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = exporting.shutil._ntuple_diskusage(10**12, 0, 10)  # type: ignore[attr-defined]
    monkeypatch.setattr(exporting.shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(ExportError, match="the exports need about"):
        export(toy, tmp_path / "out", "merged")
    assert not list(tmp_path.iterdir())


def test_the_model_is_gone_when_exports_are_opened(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[bool] = []
    real = exporting.certify

    def load() -> Live:
        live = toy.live()
        weight = live.request.model.bundle.module.get_parameter("model.norm.weight")
        seen.append(weakref.ref(weight))
        return live

    def certify(*arguments: Any) -> Any:
        gc.collect()
        alive.append(seen[0]() is not None)
        return real(*arguments)

    seen: list[Any] = []
    monkeypatch.setattr(exporting, "certify", certify)
    targets = targets_of(["merged"], toy.adapter, tmp_path / "m", accept_loss=False, force=False)
    assert all(done.fault is None for done in export_all(targets, load, lambda _stage: None))
    assert alive == [False]


def test_a_whole_model_can_be_written_in_another_dtype(toy: Toy, tmp_path: Path) -> None:
    from lorafw.certification.sources import live_model

    def written(*wishes: str, accept_loss: bool = False) -> Exported:
        out = tmp_path / f"accepted-{accept_loss}"
        targets = targets_of(wishes, toy.base, out, accept_loss=accept_loss, force=False)
        (done,) = export_all(targets, lambda: live_model(toy.base), lambda _stage: None)
        return done

    assert "rounding changes it" in str(written("merged:dtype=bf16").fault)
    accepted = written("merged:dtype=bf16", accept_loss=True)
    assert accepted.certificate is not None
    assert accepted.certificate.verdict == "lossy"
    assert "has no effect" in str(written("adapter").fault)
    assert names(tmp_path) == ["accepted-True"]


HUB = "hub:repo_id=a/b,dry_run=true"


def test_what_speaks_of_exports_comes_after_them(toy: Toy, tmp_path: Path) -> None:
    done = export(toy, tmp_path / "out", HUB, "adapter")
    assert [each.fault for each in done.values()] == [None, None]
    assert list(done) == ["adapter", "hub"]
    assert (tmp_path / "out" / "hub" / "hub.json").is_file()


def test_an_older_export_is_not_pushed_in_place_of_one_that_failed(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.copied("merged", tmp_path)
    spoilt(monkeypatch)
    done = export(toy, tmp_path, "merged", f"{HUB},what=merged", force=True)
    assert "of an export that failed" in str(done["hub"].fault)
    assert names(tmp_path) == ["merged"]


def test_what_a_killed_export_left_goes_with_the_next(toy: Toy, tmp_path: Path) -> None:
    for left in (".adapter.new-0123abcd", ".adapter.old-0123abcd", ".adapter-2.new-0123abcd"):
        (tmp_path / left).mkdir()
    export(toy, tmp_path / "adapter", "adapter")
    assert names(tmp_path) == [".adapter-2.new-0123abcd", "adapter"]


def test_rounding_that_no_tool_measures_has_to_be_accepted(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MergedExporter, "reopen", lambda *_: None)
    done = export(toy, tmp_path / "out", "merged:dtype=bf16")
    assert "no tool here tells by how much" in str(done["merged"].fault)
    assert not (tmp_path / "out").exists() or not names(tmp_path / "out")
