"""What the files of a run's folder tell of the training, for its model card."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from lorafw.builtin.event_log import FILE as EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_CONFIG = "run.yaml"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run as its folder tells it; empty where there is none.

    Attributes:
        config: the resolved config, section by section.
        rows: how many rows were trained on.
        steps: optimizer steps.
        tokens: tokens in them.
        before: held-out figures of the base.
        after: held-out figures of the model as it was left.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    rows: int = 0
    steps: int = 0
    tokens: int = 0
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)

    def option(self, section: str, name: str) -> Any:
        """An option of a section; None if nothing is known of it."""
        return (self.config.get(section) or {}).get(name)


def facts_of(folder: Path) -> RunFacts:
    """What is known of the run in a folder; nothing if there is none."""
    if not (folder / _CONFIG).is_file():
        return RunFacts()
    config = yaml.safe_load((folder / _CONFIG).read_text(encoding="utf-8"))
    rows, tokens, figures = 0, dict[int, int](), dict[int, dict[str, float]]()
    for event in _events(folder / EVENTS):
        match event["event"]:
            case "fit_start":
                rows = event["rows"]
            case "step_end":  # a resumed run repeats the steps behind its checkpoint
                tokens[event["step"]] = event["tokens"]
            case "evaluation_end":
                figures[event["step"]] = event["figures"]
    steps = max(tokens, default=0)
    after = figures.get(max(figures, default=0), {}) if steps else {}
    return RunFacts(config, rows, steps, sum(tokens.values()), figures.get(0, {}), after)


def _events(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)
