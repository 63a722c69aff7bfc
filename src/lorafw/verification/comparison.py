"""One comparison: its reference, the launches that follow, and what all of them found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from lorafw.errors import TrainingError
from lorafw.verification.assignment import FACTS, REFERENCE, RESULTS, Assignment
from lorafw.verification.cases import Part
from lorafw.verification.limits import Limit, judged, limits
from lorafw.verification.machine import too_much
from lorafw.verification.processes import work
from lorafw.verification.report import Row

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared, in a folder that holds config and rows.

    Attributes:
        folder: where processes find their task and leave what they found.
        trainers: all ways of all trainers.
        injectors: the config's own first.
        budgets: most tokens of a micro-batch.
        ranks: how many processes, in the order they are tried.
        steps: optimizer steps of every run.
        own: name of the config's own trainer.
        say: told what goes on.
    """

    folder: Path
    trainers: Sequence[Part]
    injectors: Sequence[Part]
    budgets: Sequence[int]
    ranks: Sequence[int]
    steps: int
    own: str
    say: Say

    def rows(self) -> Iterator[Row]:
        """Run everything, the reference first.

        Raises:
            TrainingError: the reference failed.
        """
        yield from self._launch_reference()
        for ranks in self.ranks:
            if ranks > 1:
                for name, ways in groupby(self.trainers, key=lambda part: part.name):
                    yield from self._tried(name, list(ways), ranks)

    @property
    def facts(self) -> dict[str, Any]:
        """What the reference's process found out."""
        path = self.folder / REFERENCE / FACTS
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return facts

    @property
    def limits(self) -> dict[str, Limit]:
        """How far a right run may be from the reference."""
        facts = self.facts
        return limits(facts["dtype"], facts["probes"], moved=facts["moved"])

    def _launch_reference(self) -> Iterator[Row]:
        """The reference, and in the same process what all trainers do on one rank."""
        ways = self.trainers if 1 in self.ranks else ()
        self.say(
            f"{self.own} on 1 rank as the reference{', then all trainers on it' * bool(ways)} …"
        )
        fault = self._launch(ways, 1, reference=True)
        if not (self.folder / REFERENCE / FACTS).exists():
            raise TrainingError(f"the reference run failed: {fault}")
        yield from self._results(self.own, 1, fault)

    def _tried(self, name: str, ways: Sequence[Part], ranks: int) -> Iterator[Row]:
        facts = self.facts
        reason = too_much(ranks, gpus=facts["gpus"], peak=facts["peak_memory_bytes"])
        if reason:
            yield skipped(name, reason, ranks)
            return
        self.say(f"{name} on {ranks} ranks …")
        yield from self._results(name, ranks, self._launch(ways, ranks))

    def _launch(self, ways: Sequence[Part], ranks: int, *, reference: bool = False) -> str:
        shutil.rmtree(self.folder / RESULTS, ignore_errors=True)
        task = Assignment(ways, self.injectors, self.budgets, self.steps, reference)
        task.write(self.folder)
        return work(self.folder, ranks)

    def _results(self, name: str, ranks: int, fault: str) -> Iterator[Row]:
        """What a launch left; the fault that ended it, if there was one, comes last."""
        bounds, dtype = self.limits, self.facts["dtype"]
        for path in sorted((self.folder / RESULTS).glob("*.json")):
            yield _row(json.loads(path.read_text(encoding="utf-8")), bounds, dtype)
        if fault:
            yield Row(name, ranks, "", "", None, {}, "failed", fault)


def skipped(trainer: str, reason: str, ranks: int | None = None, injector: str = "") -> Row:
    """A row for what was not tried."""
    return Row(trainer, ranks, injector, "", None, {}, "skipped", reason)


def _row(result: Mapping[str, Any], bounds: Mapping[str, Limit], dtype: str) -> Row:
    case, found = result["case"], result.get("differences", {})
    shown = {what: found.get(judged(what, dtype)) for what in bounds if found}
    for verdict in ("skipped", "failed"):
        if verdict in result:
            return Row(**case, differences=shown, verdict=verdict, reason=result[verdict])
    large = [what for what, bound in bounds.items() if not bound.holds(shown[what])]
    if large:
        return Row(**case, differences=shown, verdict="differs", reason=f"{', '.join(large)}")
    return Row(**case, differences=shown, verdict="holds")
