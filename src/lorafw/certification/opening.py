"""An export opened and compared: here if the model is small, else in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorafw.certification.comparison import Comparison, compare
from lorafw.certification.probes import Probes
from lorafw.certification.subject import Subject, subject_of
from lorafw.certification.witness import Facts, Witness
from lorafw.errors import ExportError, LorafwError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

SMALL = 64 << 20
"""Bytes of a model that is opened a second time in the process that has it already."""

_TASK, _TENSORS, _OUTCOME = "task.json", "answers.safetensors", "outcome.json"
_WORKER = "lorafw.certification.worker"
_OWN_TOKENIZER = "tokenizer_config.json"
"""Stands in an export that holds the tokenizer of training as it is, not made for another tool."""
_LAST_CHARACTERS = 2000
_OF_RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables by which a process takes itself for one of several ranks."""


def opened_and_compared(subject: Subject, witness: Witness) -> Comparison | None:
    """Open an export with the tool it is for, and compare it with the trained model.

    A large model is opened by a child process, whose memory it leaves when it ends; a small one
    here, which takes a tenth of the time.

    Returns:
        What was measured; None if no tool that could open it is installed.

    Raises:
        LorafwError: it cannot be opened, or not asked.
    """
    if witness.bytes < SMALL:
        return compared_here(subject, witness)
    with tempfile.TemporaryDirectory(prefix="lorafw-certify-") as place:
        folder = Path(place)
        _write_task(folder, subject, witness)
        return _outcome(folder)


def compared_here(subject: Subject, witness: Witness) -> Comparison | None:
    """The same in this process."""
    opened = subject.exporter.reopen(subject.folder, subject.builder)
    if opened is None:
        return None
    tokenizer = None if opened.tokenizer is not None else subject.builder.tokenizer()
    own = (subject.folder / _OWN_TOKENIZER).is_file()
    return compare(witness, opened, subject.encoder, tokenizer, own_template=own)


def work(folder: Path) -> None:
    """Do what the task in a folder says, and leave the outcome there; what the child runs."""
    subject, witness = _read_task(folder)
    try:
        found = compared_here(subject, witness)
    except LorafwError as error:
        outcome: dict[str, Any] = {"fault": [error.what, error.where, error.mend]}
    else:
        outcome = {"found": None if found is None else found.model_dump(mode="json")}
    (folder / _OUTCOME).write_text(json.dumps(outcome), encoding="utf-8")


def _outcome(folder: Path) -> Comparison | None:
    """Let a child do the task; it ends with this process's wait for it."""
    environment = {k: v for k, v in os.environ.items() if k not in _OF_RANKS}
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-m", _WORKER, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if not (folder / _OUTCOME).exists():
        raise ExportError(f"the process that opens it ended with {_last_words(done)}")
    outcome: Mapping[str, Any] = json.loads((folder / _OUTCOME).read_text(encoding="utf-8"))
    if "fault" in outcome:
        what, where, mend = outcome["fault"]
        raise ExportError(what, where=where, mend=mend)
    return None if outcome["found"] is None else Comparison.model_validate(outcome["found"])


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in done.stderr[-_LAST_CHARACTERS:].splitlines() if line.strip()]
    code = f"signal {-done.returncode}" if done.returncode < 0 else f"code {done.returncode}"
    return f"{code}: {lines[-1]}" if lines else f"{code}."


def _write_task(folder: Path, subject: Subject, witness: Witness) -> None:
    from safetensors.torch import save_file

    save_file({**_numbered("answer", witness), **_numbered("alone", witness)}, folder / _TENSORS)
    task = {
        "folder": str(subject.folder),
        "sections": subject.sections(),
        "probes": witness.probes.model_dump(mode="json"),
        "facts": witness.facts.model_dump(mode="json"),
        "bytes": witness.bytes,
    }
    (folder / _TASK).write_text(json.dumps(task), encoding="utf-8")


def _numbered(name: str, witness: Witness) -> dict[str, Tensor]:
    tensors = witness.answers if name == "answer" else witness.alone
    return {f"{name}.{index}": tensor.contiguous() for index, tensor in enumerate(tensors)}


def _read_task(folder: Path) -> tuple[Subject, Witness]:
    from safetensors.torch import load_file

    task = json.loads((folder / _TASK).read_text(encoding="utf-8"))
    tensors, probes = load_file(folder / _TENSORS), Probes.model_validate(task["probes"])
    answers, alone = (
        [tensors[f"{name}.{i}"] for i in range(len(probes.rows)) if f"{name}.{i}" in tensors]
        for name in ("answer", "alone")
    )
    facts = Facts.model_validate(task["facts"])
    witness = Witness(probes, facts, answers, alone, task["bytes"])
    return subject_of(Path(task["folder"]), task["sections"]), witness
