"""What a run has finished so far, in its folder, so that a resumed one does not do it again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from lorafw.adapters.files.safe_files import clear_unfinished, publish
from lorafw.errors import CheckpointError, UsageError
from lorafw.training.checkpoints.continuing import fingerprint_of
from lorafw.training.checkpoints.files import Stored, read_files, write_files
from lorafw.training.checkpoints.fingerprint import changes, check_changes
from lorafw.training.checkpoints.from_rank_0 import receive, tell
from lorafw.training.optimizer_memory import VALUE

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw.contracts.engine import World
    from lorafw.contracts.trainer import TrainJob

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class RunMemory:
    """Folders of facts and tensors by name, on rank 0's machine; every method is collective.

    Args:
        folder: the run's.
        world: this process among its peers.
        job: the run's; what is remembered must be of one with the same fingerprint.

    Attributes:
        resumed: whether an earlier process may have finished something.
    """

    def __init__(self, folder: Path, world: World, job: TrainJob) -> None:
        self._folder, self._world, self._job = folder, world, job
        self.resumed = job.resume
        self._asked: set[str] = set()

    def once(self, name: str, make: Callable[[], Stored]) -> tuple[Stored, bool]:
        """What is remembered under a name, or else what `make` gives, which is from then on.

        Args:
            name: words with slashes between them, of its own in this run.
            make: called on every rank; what rank 0 made is kept.

        Returns:
            The same on every rank, and whether it was remembered.

        Raises:
            UsageError: the name was asked for before, or cannot be a folder's.
            CheckpointError: a file is damaged, of another run, or cannot be written.
        """
        self._check(name)
        found = receive(lambda: self._read(name), self._world)
        if found is not None:
            return found[1], True
        made = make()
        tell(lambda: self._write(name, made), self._world)
        kept = receive(lambda: (self._folder / name, made), self._world)
        assert kept is not None
        return kept[1], False

    def _check(self, name: str) -> None:
        if not all(_NAME.fullmatch(word) for word in name.split("/")):
            mend = "Use letters, digits, and . _ + - behind the first."
            raise UsageError(f"'{name}' cannot be the name of a folder.", mend=mend)
        if name in self._asked:
            fault = f"the scenario asks for '{name}' twice; a resumed run could not tell which."
            raise UsageError(fault, mend="Every stage needs a name of its own.")
        self._asked.add(name)

    def _read(self, name: str) -> tuple[Path, Stored] | None:
        place = self._folder / name
        if not (self.resumed and place.is_dir()):
            return None
        stored = read_files(place)
        differing = changes(fingerprint_of(self._job), stored.about["fingerprint"])
        check_changes(differing, self._job.accept_changed, str(place))
        return place, stored

    def _write(self, name: str, made: Stored) -> None:
        final = self._folder / name
        about = {**made.about, "fingerprint": fingerprint_of(self._job)}
        made = replace(made, about=about)
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            clear_unfinished(final.parent, final.name)
            publish(lambda fresh: write_files(fresh, made), final)
        except (OSError, SafetensorError) as error:
            fault, mend = f"cannot be written: {error}.", "Mend this and continue with --resume."
            raise CheckpointError(fault, where=str(final), mend=mend) from error


def stored(
    tensors: Mapping[str, Tensor] | None = None,
    method: Mapping[str, Tensor] | None = None,
    **facts: Any,
) -> Stored:
    """Tensors by name and JSON values by key, as they are kept."""
    state = {name: {VALUE: tensor.contiguous()} for name, tensor in (tensors or {}).items()}
    told = json.loads(json.dumps(facts))  # the same now as when they are read again
    return Stored({"progress": {"kept": True, **told}}, state, dict(method or {}))


def tensors_of(kept: Stored) -> dict[str, Tensor]:
    """The tensors of what `stored` made."""
    return {name: tensors[VALUE] for name, tensors in kept.state.items()}


def facts_of(kept: Stored) -> dict[str, Any]:
    """The JSON values of what `stored` made."""
    return {key: value for key, value in kept.about["progress"].items() if key != "kept"}
