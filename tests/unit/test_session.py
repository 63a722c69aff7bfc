"""A session whose disk is full says so: before training if it can, and what is kept stays whole."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.unit.training.on_engine import OnEngine

from lorafw.builtin.causal_lm import CausalLM
from lorafw.certification.certificate import read_certificate
from lorafw.certification.verifying import verify_export
from lorafw.contracts import Exporter, ExportRequest, ModelBuilder, RunningTrainer, TrainJob
from lorafw.contracts.exporter import Reopened
from lorafw.errors import CheckpointError, ExportError, TrainingError
from lorafw.session import RunSession
from lorafw.testing.toy_training import SEED, started, toy_model, training_plan, training_rows
from lorafw.testing.toys import ToyEncoder, toy_tokenizer
from lorafw.types import Layout

LARGEST_FILE = 20_000
"""Bytes; the state of the toy adapter has more."""


class Large(Exporter):
    """Writes a file of a megabyte, and says more."""

    def expected_bytes(self, request: ExportRequest) -> int:
        return super().expected_bytes(request) + 10**9

    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        (folder / "weights").write_bytes(bytes(10**6))
        return [folder / "weights"]


class Forgetful(Large):
    """Writes something that its tool reads as a model which answers nothing but zeros."""

    def reopen(self, folder: Path, builder: ModelBuilder) -> Reopened:
        return Reopened("a tool", lambda ids: torch.zeros(len(ids), 64), toy_tokenizer())


@pytest.fixture
def running() -> Iterator[RunningTrainer]:
    with started(OnEngine()) as running:
        yield running


@contextmanager
def small_files() -> Iterator[None]:
    """No file may grow beyond `LARGEST_FILE`: the system refuses it as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fill_up() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, most))


def session(
    running: RunningTrainer, folder: Path, exporter: Exporter | None = None, **job: Any
) -> RunSession:
    model = toy_model()
    request = TrainJob(
        model=model,
        objective=CausalLM(),
        encoder=ToyEncoder(),
        rows=training_rows(),
        plan=training_plan(checkpoint_every=1, max_steps=2),
        layout=Layout.SEGMENTS,
        seed=SEED,
        **job,
    )
    parts: Any = ExportRequest(model, None, {})  # type: ignore[arg-type]
    return RunSession(running, request, parts, {"large": exporter or Large()}, folder)


def test_too_little_room_is_said_before_the_first_step(
    running: RunningTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil._ntuple_diskusage(10**12, 0, 10**8)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(TrainingError, match=r"need about 1\.02 GB, and 100 MB are free"):
        session(running, tmp_path).fit("train")
    assert not list(tmp_path.iterdir())


def test_a_row_may_be_as_long_as_its_encoder_allows_and_the_model_reads(
    running: RunningTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = session(running, tmp_path)
    (task,), model = found.tasks, found.model
    assert found.longest(task) == found.job.encoder.max_length
    monkeypatch.setattr(model.bundle.tokenizer, "model_max_length", 256)
    assert found.longest(task) == 256
    model.spec = replace(model.spec, options={"num_virtual_tokens": 20})
    assert found.longest(task) == 236
    own: Any = SimpleNamespace(name=task.name, encoder=ToyEncoder(max_length=100))
    found.task_parts = [own]
    assert found.longest(task) == 100


class Coarse(Large):
    """Would round, which nobody has accepted."""

    def rounds(self, request: ExportRequest) -> bool:
        return True


def test_an_export_that_would_be_refused_is_refused_before_the_first_step(
    running: RunningTrainer, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=r"exporter 'large' would refuse .*coarser") as caught:
        session(running, tmp_path, Coarse()).fit("train")
    assert "accept_loss: true" in caught.value.mend
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_leaves_the_last_checkpoint(
    running: RunningTrainer, tmp_path: Path
) -> None:
    def emit(event: str, **_payload: object) -> None:
        if event == "checkpoint_saved":
            fill_up()

    with small_files(), pytest.raises(CheckpointError, match="cannot be written"):
        session(running, tmp_path, emit=emit).fit("train")
    folder = tmp_path / "checkpoints" / "train"
    assert [path.name for path in folder.iterdir()] == ["step-00000001"]
    result = session(running, tmp_path, resume=True).fit("train")
    assert result.steps == 2


def test_an_export_that_cannot_be_written_is_not_there(
    running: RunningTrainer, tmp_path: Path
) -> None:
    with small_files():
        fill_up()
        with pytest.raises(ExportError, match=r"cannot be written: .*[Ff]ile too large") as caught:
            session(running, tmp_path).export()
    assert "--resume" in caught.value.mend
    assert not list(tmp_path.iterdir())


def test_an_export_that_is_another_model_is_refused_and_the_way_on_is_told(
    running: RunningTrainer, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match="a tool opens it, but it computes") as caught:
        session(running, tmp_path, Forgetful()).export()
    assert f"lorafw export {tmp_path} --to large" in caught.value.mend
    assert not list(tmp_path.iterdir())


def test_an_export_that_no_tool_opens_is_certified_by_its_digests(
    running: RunningTrainer, tmp_path: Path
) -> None:
    session(running, tmp_path).export()
    certificate = read_certificate(tmp_path / "large")
    assert (certificate.verdict, list(certificate.files)) == ("unread", ["weights"])
    assert verify_export(tmp_path / "large").holds
    (tmp_path / "large" / "weights").write_bytes(b"others")
    assert verify_export(tmp_path / "large").faults == ("weights was changed.",)
