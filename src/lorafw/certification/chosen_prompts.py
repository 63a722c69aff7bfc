"""Runs that put some of their virtual tokens before rows: which, their values do not tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from lorafw.assembly.config import read_config
from lorafw.assembly.registry import Registry
from lorafw.errors import CheckpointError
from lorafw.inference.loading import part
from lorafw.inference.place import ADAPTER
from lorafw.training.checkpoints.stages import finished_stages
from lorafw.types import Capability

if TYPE_CHECKING:
    from lorafw.contracts.scenario import Scenario

_CONFIG, _SAVED = "run.yaml", "adapters"


def chooses_prompts(run: Path) -> bool:
    """Whether a run's scenario says which of the virtual tokens its model has.

    Raises:
        LorafwError: the config cannot be read, or the scenario is not installed.
    """
    registry = Registry()
    choice = read_config(registry, path=run / _CONFIG, needs=()).scenario
    found = part(registry, "scenario", {"use": choice.name, **choice.options})
    return Capability.CHOSEN_PROMPTS in cast("Scenario", found).requires


def check_told(run: Path, values: Path) -> None:
    """Raise CheckpointError if values that a run keeps do not tell what model they are of."""
    if chooses_prompts(run):
        raise _untold(run, values)


def saved_adapter(run: Path, newest: Path) -> Path:
    """What a run that chooses prompts saved as `adapters/TASK` at the end of its newest stage.

    Args:
        run: its folder.
        newest: where the newest values of it are.

    Raises:
        CheckpointError: it is in the middle of a stage, or saved nothing of the last one.
    """
    for stage in finished_stages(run):
        place = run / _SAVED / stage.task
        if stage.place == newest and (place / ADAPTER).is_file():
            return place
    raise _untold(run, newest)


def _untold(run: Path, values: Path) -> CheckpointError:
    saved = sorted(file.parent.name for file in (run / _SAVED).glob(f"*/{ADAPTER}"))
    earlier = f", or export what a finished task left: {run / _SAVED}/TASK" if saved else ""
    return CheckpointError(
        "holds all virtual tokens of the run, and does not tell which of them stand before rows.",
        where=str(values),
        mend=f"Finish the run with --resume{earlier}.",
    )
