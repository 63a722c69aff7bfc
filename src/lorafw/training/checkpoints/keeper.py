"""The checkpoints of one job: written, pruned, and continued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from safetensors import SafetensorError

from lorafw.adapters.files.safe_files import publish
from lorafw.contracts.engine import Engine
from lorafw.contracts.trainer import TrainJob
from lorafw.errors import CheckpointError
from lorafw.training.best import Best
from lorafw.training.checkpoints import folder, places
from lorafw.training.checkpoints.continuing import (
    accepted_changes,
    fingerprint_of,
    forgets,
    usable,
)
from lorafw.training.checkpoints.files import Stored, read_files, write_files
from lorafw.training.checkpoints.fingerprint import Change
from lorafw.training.checkpoints.from_rank_0 import receive, tell
from lorafw.training.checkpoints.progress import Checkpoint
from lorafw.training.checkpoints.settled import settled_options
from lorafw.training.guards.finite import require_finite


class Checkpoints:
    """The checkpoints of one job. Every rank calls the same methods; rank 0 has the files."""

    def __init__(self, job: TrainJob, engine: Engine) -> None:
        self._job, self._engine = job, engine
        self._folder = job.checkpoints
        self._saved: Checkpoint | None = None

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, unless it is there already; collective.

        Raises:
            CheckpointError: it cannot be written, on every rank; the ones before it stay.
        """
        if self._folder is None or checkpoint == self._saved:
            return
        state, method = self._engine.state(), self._job.model.training_state()
        require_finite(state, method)
        about = {
            "fingerprint": fingerprint_of(self._job),
            "progress": asdict(checkpoint),
            "settled": settled_options(self._job.plan),
        }
        tell(lambda: self._write(checkpoint, Stored(about, state, method)), self._engine.world)
        self._saved = checkpoint

    def _write(self, checkpoint: Checkpoint, stored: Stored) -> None:
        assert self._folder is not None
        final, keep = (
            places.place_of(self._folder, checkpoint.step),
            self._job.plan.keep_checkpoints,
        )
        try:
            publish(lambda fresh: write_files(fresh, stored), final)
            folder.prune(self._folder, keep=keep, best=checkpoint.best.step)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"cannot be written: {error}.", where=str(final), mend=self._what_is_left()
            ) from error
        self._job.emit("checkpoint_saved", step=checkpoint.step, path=final)

    def _what_is_left(self) -> str:
        newest = places.newest_checkpoint(self._folder)
        if newest is None:
            return "Mend this and start again."
        step = places.step_of(newest)
        return f"The checkpoint of step {step} is whole: mend this and continue with --resume."

    def resume(self) -> Checkpoint:
        """Continue from the newest checkpoint, if the job asks for it; collective.

        Raises:
            CheckpointError: it is damaged, of another run, or of another adapter.
        """
        if self._engine.world.rank == 0:
            folder.clear(self._folder)
        if not self._job.resume:
            return Checkpoint()
        found = receive(lambda: folder.read_newest(self._folder), self._engine.world)
        if found is None:
            return Checkpoint()
        place, stored = found
        changed = accepted_changes(self._job, place, stored, self._engine.state())
        self._load(usable(stored, changed))
        return self._told(Checkpoint.from_mapping(stored.about["progress"]), changed)

    def load_best(self, best: Best) -> None:
        """Load the checkpoint of the best step into the engine; collective.

        Raises:
            CheckpointError: there are no checkpoints, or this one is missing or damaged.
        """
        if self._folder is None or best.step is None:
            raise CheckpointError("the best step's weights were kept nowhere.")
        place = places.place_of(self._folder, best.step)
        found = receive(lambda: (place, read_files(place)), self._engine.world)
        assert found is not None
        self._load(found[1])

    def _load(self, stored: Stored) -> None:
        self._engine.load_state(stored.state)
        self._job.model.load_training_state(stored.method)

    def _told(self, checkpoint: Checkpoint, changed: Sequence[Change]) -> Checkpoint:
        """Tell the user what they accepted, and keep it in mind."""
        if self._engine.world.rank == 0:
            for change in changed:
                self._job.emit("notice", message=f"Continued all the same with {change}.")
            if forgets(changed):
                self._job.emit("notice", message="The optimizer remembers nothing of before.")
        news = tuple(f"after step {checkpoint.step}: {change}" for change in changed)
        return replace(checkpoint, accepted=(*checkpoint.accepted, *news))
