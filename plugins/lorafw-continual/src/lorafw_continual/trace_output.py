"""What TRACE's training and inference leave, of a finished run over several tasks.

TRACE (github.com/BeyonderXX/TRACE) writes a folder `0`, `1`, … for each round, with what was
trained and the tokenizer, and for each round and each task trained so far a file
`results-{round}-{number of the task}-{task}.json` of prompts, answers and labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorafw.adapters.files.safe_files import publish, write_bytes
from lorafw.errors import LorafwError, UsageError
from lorafw_continual.finished_runs import FinishedRun, read_record

if TYPE_CHECKING:
    from lorafw.certification.live import Live
    from lorafw.contracts.exporter import Exporter
    from lorafw.training.checkpoints.files import Stored

_STAGES, _SCORES = "stages", "scores"
_BESIDE = {"targets"}
"""Told with the figures, and none."""


def write_trace(
    run: FinishedRun, folder: Path, *, base: Path | None = None, any_base: bool = False
) -> int:
    """Write all rounds of a run into a folder that appears when it is whole.

    Of a round that trained an adapter its folder is as PEFT reads it, with the tokenizer; where
    the base itself was trained (injector `full`), it is the whole model.

    Args:
        run: the run.
        folder: where to; must not be there, or be empty.
        base: where the base is, if not where it was.
        any_base: take a base of another content than the run trained on.

    Returns:
        How many files of results there are.

    Raises:
        UsageError: the folder has something in it, or the run keeps no values of a stage.
        LorafwError: what was stored is damaged, or a part of the run is gone.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("is there already.", where=str(folder), mend="Name a new folder.")
    places = _places(run)
    return publish(lambda fresh: _write(run, places, fresh, base=base, any_base=any_base), folder)


def _places(run: FinishedRun) -> list[Path]:
    """Where the values are that each stage left: those of the last of its fits."""
    fits = (place for place in run.folder.glob(f"{_STAGES}/*") if place.is_dir())
    last: dict[str, Path] = {}
    stage = ""
    for place in sorted(fits, key=_number):
        stage = place.name if place.name in run.stages else stage
        last[stage] = place
    if missing := [name for name in run.stages if name not in last]:
        raise UsageError(f"keeps no values of stage {missing[0]}.", where=str(run.folder))
    return [last[name] for name in run.stages]


def _number(place: Path) -> int:
    """How many fits came before."""
    from lorafw.training.checkpoints.files import ABOUT

    try:
        about = json.loads((place / ABOUT).read_text(encoding="utf-8"))
        return int(about["progress"]["number"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LorafwError(f"cannot be read: {error}.", where=str(place / ABOUT)) from error


def _write(
    run: FinishedRun, places: Sequence[Path], fresh: Path, *, base: Path | None, any_base: bool
) -> int:
    _write_rounds(run, places, fresh, base=base, any_base=any_base)
    results = dict(_results(run))
    for name, content in results.items():
        text = json.dumps(content, ensure_ascii=False, indent=2)
        write_bytes(fresh / name, (text + "\n").encode())
    return len(results)


def _write_rounds(
    run: FinishedRun, places: Sequence[Path], fresh: Path, *, base: Path | None, any_base: bool
) -> None:
    """A folder for each stage; the model is loaded once."""
    from lorafw.certification.checkpoint_source import from_stored
    from lorafw.stages.memory import tensors_of

    live: Live | None = None
    for number, place in enumerate(places):
        stored = _stored(run, place)
        if live is None:
            live = from_stored(run.folder, stored, place, base=base, any_base=any_base)
        else:
            live.request.model.load_state(tensors_of(stored))
            live.request.model.load_training_state(stored.method)
        folder = fresh / str(number)
        folder.mkdir()
        _exporter(live).export(live.request, folder)
        live.request.model.bundle.tokenizer.save_pretrained(folder)


def _stored(run: FinishedRun, place: Path) -> Stored:
    """What a stage left, and what the run depends on."""
    from lorafw.training.checkpoints.files import read_files

    stored, record = read_files(place), read_record(run.folder)
    return replace(stored, about={**stored.about, "fingerprint": record.get("fingerprint", {})})


def _exporter(live: Live) -> Exporter:
    """What writes the trained: an adapter, or the whole model where there is none."""
    from lorafw.builtin.adapter_exporter import AdapterExporter
    from lorafw.builtin.merged_exporter import MergedExporter

    spec = live.request.model.spec
    has_adapter = spec.method != "LORA" or spec.targets or spec.token_rows or spec.biases
    return AdapterExporter() if has_adapter else MergedExporter()


def _results(run: FinishedRun) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """TRACE's file for each round and each task trained so far, where it was scored."""
    for number, stage in enumerate(run.stages):
        seen = run.tasks[: number + 1] if run.has_stage_for_each_task else run.tasks
        for at, task in enumerate(seen):
            place = run.folder / _SCORES / stage / task
            if place.is_dir():
                yield f"results-{number}-{at}-{task}.json", _result(place)


def _result(place: Path) -> dict[str, Any]:
    from lorafw.stages.memory import facts_of
    from lorafw.training.checkpoints.files import read_files

    facts = facts_of(read_files(place))
    rows = facts["predictions"]
    return {
        "eval": {name: value for name, value in facts["figures"].items() if name not in _BESIDE},
        "prompts": [row["prompt"] for row in rows],
        "results": [row["answer"] for row in rows],
        "labels": [row["label"] for row in rows],
    }
