"""The files that TRACE (github.com/BeyonderXX/TRACE) leaves, written of a run's rounds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from lorafw.adapters.files.safe_files import write_bytes
from lorafw.builtin.adapter_exporter import AdapterExporter
from lorafw.builtin.merged_exporter import MergedExporter
from lorafw.certification.checkpoint_source import from_stored, newest_of_a_run
from lorafw.certification.chosen_prompts import check_told
from lorafw.contracts._adapter_values import shapes_of
from lorafw.errors import ExportError
from lorafw.stages.memory import facts_of, tensors_of
from lorafw.training.checkpoints.files import read_files
from lorafw_continual._rounds import SCORES, Round

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.contracts import AdaptedModel, ExportRequest

_BESIDE = {"targets"}
"""Told with the figures, and none."""


def write_rounds(request: ExportRequest, rounds: Sequence[Round], folder: Path) -> None:
    """A folder for each round: what it left, and the tokenizer.

    Raises:
        ExportError: the model is another than the last round left.
        CheckpointError: what a round left does not tell what model it is, and none was saved.
    """
    _check_between_rounds(request, rounds[-1])
    if any(round_.adapter is None for round_ in rounds):
        request = _with_the_runs_own_model(request, rounds[-1])
    with _own_values(request.model):
        for number, round_ in enumerate(rounds):
            place = folder / str(number)
            if round_.adapter is None:
                _export(request, round_, place)
            else:
                shutil.copytree(round_.adapter, place)
            request.model.bundle.tokenizer.save_pretrained(place)


def _check_between_rounds(request: ExportRequest, last: Round) -> None:
    """Raise ExportError if a run was stopped in the middle of a round."""
    assert request.run is not None
    if newest_of_a_run(request.run) not in (None, last.values):
        fault = f"the model has been trained on since its last whole round, of '{last.task}'."
        raise ExportError(fault, where=str(request.run), mend="Finish the run with --resume.")


def _with_the_runs_own_model(request: ExportRequest, last: Round) -> ExportRequest:
    """The request, or one with the model that was trained: an export may be of another form.

    A start that moves the base (PiSSA), for one, is exported with twice the rank.
    """
    stored, live = read_files(last.values), request.model.trainable()
    left = tensors_of(stored)
    if shapes_of(left) == shapes_of(live):
        if all(torch.equal(left[name], value.detach().cpu()) for name, value in live.items()):
            return request
        fault = "the model is another than the last round left, so the rounds do not tell of it."
        raise ExportError(fault, where=str(request.run))
    assert request.run is not None
    base = getattr(request.builder, "path", None)
    return from_stored(request.run, stored, last.values, base=base, any_base=True).request


def _export(request: ExportRequest, round_: Round, place: Path) -> None:
    """Write the model as a round left it: an adapter, or the whole model where there is none."""
    assert request.run is not None
    check_told(request.run, round_.values)
    model, stored = request.model, read_files(round_.values)
    model.load_state(tensors_of(stored))
    model.load_training_state(stored.method)
    spec = model.spec
    has_adapter = spec.method != "LORA" or spec.targets or spec.token_rows or spec.biases
    place.mkdir()
    (AdapterExporter() if has_adapter else MergedExporter()).export(request, place)


@contextmanager
def _own_values(model: AdaptedModel) -> Iterator[None]:
    """Afterwards the model has the values it has now."""
    values = {name: value.detach().clone() for name, value in model.trainable().items()}
    beyond = {name: value.clone() for name, value in model.training_state().items()}
    try:
        yield
    finally:
        model.load_state(values)
        model.load_training_state(beyond)


def write_results(rounds: Sequence[Round], tasks: Sequence[str], run: Path, folder: Path) -> None:
    """TRACE's file for each round and each task trained so far, where it was scored.

    Args:
        rounds: in order.
        tasks: of the run, in the order they are listed.
        run: its folder.
        folder: where to.
    """
    for number, round_ in enumerate(rounds):
        for at, task in enumerate(_seen(rounds, number, tasks)):
            place = run / SCORES / round_.stage / task
            if place.is_dir():
                text = json.dumps(_result(place), ensure_ascii=False, indent=2)
                name = f"results-{number}-{at}-{task}.json"
                write_bytes(folder / name, (text + "\n").encode())


def _seen(rounds: Sequence[Round], number: int, tasks: Sequence[str]) -> Sequence[str]:
    """The tasks trained so far; all of them, where a round is of several at once."""
    if rounds[number].task not in tasks:
        return tasks
    return [each.task for each in rounds[: number + 1]]


def _result(place: Path) -> Mapping[str, Any]:
    facts = facts_of(read_files(place))
    rows = facts["predictions"]
    return {
        "eval": {name: value for name, value in facts["figures"].items() if name not in _BESIDE},
        "prompts": [row["prompt"] for row in rows],
        "results": [row["answer"] for row in rows],
        "labels": [row["label"] for row in rows],
    }
