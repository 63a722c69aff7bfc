"""One rank of a comparison: runs what it is told and leaves how far each run was off.

Usage: python -m lorafw.verification.worker FOLDER
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch

from lorafw.adapters.files.safe_files import replace_text
from lorafw.assembly.compose import Parts, compose
from lorafw.assembly.config import read_config
from lorafw.assembly.registry import Registry
from lorafw.contracts.injector import AdaptedModel, LoRAInjector
from lorafw.contracts.trainer import RunningTrainer, Trainer
from lorafw.errors import AdapterError, CompositionError, LorafwError
from lorafw.types import Capability, Layout
from lorafw.verification._facts import base_dtype, machine
from lorafw.verification._trace import Trace, differences
from lorafw.verification._trial import Bench, Cut, moved, restart
from lorafw.verification.assignment import (
    CONFIG,
    FACTS,
    FAILURE,
    REFERENCE,
    RESULTS,
    ROWS,
    Assignment,
)
from lorafw.verification.cases import Case, Part, cuts
from lorafw.verification.rows import Rows

_PR_SET_PDEATHSIG = 1
PROBES = 2
"""How many times the reference is run with another rounding."""


class Worker:
    """The runs of one process."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._task = folder, Assignment.read(folder)
        self._registry = Registry()
        config = read_config(self._registry, path=folder / CONFIG)
        self._parts: Parts = compose(config, self._registry)
        rows = Rows.read(folder / ROWS)
        self._bench = Bench(self._parts, rows, self._task.steps, config.run.seed)
        self._leads = os.environ.get("RANK", "0") == "0"
        self._done, self._shows = 0, False

    def execute(self) -> None:
        """The reference, if it is asked for, and then every case of every trainer."""
        if self._task.reference:
            with self._started(self._parts.trainer) as running:
                self._make_reference(running)
        for part in self._task.trainers:
            with self._started(self._built("trainer", part)) as running:
                self._compare(part, running)

    @contextmanager
    def _started(self, trainer: Trainer) -> Iterator[RunningTrainer]:
        self._shows = Capability.WHOLE_GRADIENTS in trainer.capabilities
        running = trainer.start()
        gc.freeze()  # models come and go, what is here now lasts: not looked at again and again
        try:
            yield running
        finally:
            running.close()
            gc.freeze()

    def _built(self, kind: str, part: Part) -> Any:
        return self._registry.load(kind, part.name).from_mapping(part.options, where=kind)

    def _make_reference(self, running: RunningTrainer) -> None:
        """One rank, one row per micro-batch; then the same with other roundings."""
        place = self._folder / REFERENCE
        place.mkdir()
        model = self._adapted(self._parts.injector, running)
        layouts = self._parts.layouts(model.bundle)
        cut = Cut(layouts[0], 1)
        self._bench.begin(model, cut, running, place)
        known: dict[str, Any] = {"dtype": base_dtype(model), "layouts": layouts}
        known["off"] = self._bench.sentences
        trace = self._run(model, cut, running)
        trace.save(place)
        del model
        probes = [self._probe(replace(cut, shaken=seed), running, trace) for seed in range(PROBES)]
        known["moved"] = moved(trace, place)
        _write(place / FACTS, {**known, **machine(), "probes": probes})

    def _probe(self, cut: Cut, running: RunningTrainer, wanted: Trace) -> dict[str, float | None]:
        model = self._adapted(self._parts.injector, running)
        restart(model, self._folder / REFERENCE)
        return differences(self._run(model, cut, running), wanted)

    def _adapted(self, injector: LoRAInjector, running: RunningTrainer) -> AdaptedModel:
        gc.collect()  # the model before has hooks in cycles
        return self._bench.adapted(injector, running.world.device)

    def _run(self, model: AdaptedModel, cut: Cut, running: RunningTrainer) -> Trace:
        return self._bench.run(model, cut, running, shows=self._shows)

    def _compare(self, trainer: Part, running: RunningTrainer) -> None:
        """Every case of one trainer."""
        for part, layout, budget in cuts(self._task.injectors, self._layouts, self._task.budgets):
            case = Case(trainer.label, running.world.world_size, part.label, layout.value, budget)
            self._leave(case, self._outcome(part, Cut(layout, budget), running))

    def _outcome(self, part: Part, cut: Cut, running: RunningTrainer) -> Mapping[str, Any]:
        """What became of one case."""
        try:
            model = self._begun(part, cut, running)
        except LorafwError as error:
            return {"skipped": str(error)}
        try:
            trace = self._run(model, cut, running)
        except torch.OutOfMemoryError:
            return {"skipped": "there is too little memory."}
        except Exception as error:
            if running.world.world_size > 1:  # the other ranks may be somewhere else by now
                raise
            return {"failed": _line(error)}
        return self._measured(trace)

    def _measured(self, trace: Trace) -> Mapping[str, Any]:
        """On rank 0, how far a run is from the reference."""
        if not self._leads:
            return {}
        try:
            return {"differences": differences(trace, self._reference)}
        except LorafwError as error:
            return {"failed": str(error)}

    def _begun(self, part: Part, cut: Cut, running: RunningTrainer) -> AdaptedModel:
        """The model as the reference's was before its first step."""
        injector = cast("LoRAInjector", self._built("injector", part))
        if cut.layout is Layout.SEGMENTS and Capability.SEGMENTS not in injector.capabilities:
            raise CompositionError("the injector takes padded batches only.")
        model = self._adapted(injector, running)
        try:
            restart(model, self._folder / REFERENCE)
        except AdapterError as error:
            raise AdapterError(f"the start cannot be handed over: {error}") from None
        return model

    @cached_property
    def _reference(self) -> Trace:
        return Trace.load(self._folder / REFERENCE)

    @cached_property
    def _layouts(self) -> list[Layout]:
        known = json.loads((self._folder / REFERENCE / FACTS).read_text(encoding="utf-8"))
        return [Layout(layout) for layout in known["layouts"]]

    def _leave(self, case: Case, outcome: Mapping[str, Any]) -> None:
        """Leave what became of a case where the parent looks."""
        self._done += 1
        if self._leads:
            place = self._folder / RESULTS
            place.mkdir(exist_ok=True)
            _write(place / f"{self._done:04}.json", {"case": case.as_json(), **outcome})


def _write(path: Path, values: Mapping[str, Any]) -> None:
    replace_text(path, json.dumps(values))


def _line(error: BaseException) -> str:
    kind = "" if isinstance(error, LorafwError) else f"{type(error).__name__}: "
    return f"{kind}{error}".partition("\n")[0]


def _follow_parent() -> None:
    """End with the process that compares, even if it is killed; only Linux can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(folder: Path) -> None:
    """Work; what goes wrong is left as one line beside the results."""
    _follow_parent()
    torch.set_num_threads(max(1, int(os.environ.get("OMP_NUM_THREADS", "1"))))
    try:
        Worker(folder).execute()
    except BaseException as error:
        rank = os.environ.get("RANK", "0")
        place = folder / FAILURE
        if not place.exists():  # the first to fail knows why, the others only lost it
            place.write_text(f"rank {rank}: {_line(error)}", encoding="utf-8")
        raise


if __name__ == "__main__":
    main(Path(sys.argv[1]))
