"""A large model's export is opened by a child, with the same outcome."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.unit.certification.conftest import EXPORTERS, Toy

from lorafw.certification import opening
from lorafw.certification.opening import compared_here, opened_and_compared
from lorafw.certification.subject import Subject
from lorafw.certification.witness import witness_of
from lorafw.errors import ExportError


def test_a_child_finds_the_same(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "SMALL", 0)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    live, name = toy.live(), "merged"
    witness = live.witness
    parts = EXPORTERS[name], live.request.builder, live.encoder
    subject = Subject(toy.export(name), *parts)
    found = opened_and_compared(subject, witness)
    assert found is not None
    assert found == compared_here(subject, witness)
    with pytest.raises(ExportError, match=r"config\.json"):
        opened_and_compared(Subject(tmp_path, *parts), witness)


def test_a_child_that_dies_is_told_of(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "SMALL", 0)
    monkeypatch.setattr(opening, "_WORKER", "lorafw.no_such_module")
    live = toy.live()
    subject = Subject(tmp_path, EXPORTERS["merged"], live.request.builder, live.encoder)
    with pytest.raises(ExportError, match=r"ended with code 1: .*no_such_module"):
        opened_and_compared(subject, live.witness)


def test_probes_are_the_same_every_time_and_short(toy: Toy) -> None:
    one, other = (toy.live() for _ in range(2))
    assert one.witness.probes == other.witness.probes
    assert len(one.witness.probes.rows) == 4
    assert max(map(len, one.witness.probes.rows)) <= 32
    pairs = zip(one.witness.answers, other.witness.answers, strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_the_base_alone_answers_otherwise(toy: Toy) -> None:
    witness = witness_of(toy.live().request.model, toy.live().encoder)
    assert len(witness.alone) == len(witness.answers)
    assert all(
        (answer[-1] - alone).abs().max() > 0.01
        for answer, alone in zip(witness.answers, witness.alone, strict=True)
    )
