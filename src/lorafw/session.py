"""RunSession: what a scenario drives in a real run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from safetensors import SafetensorError

from lorafw.adapters.files.safe_files import clear_unfinished, publish
from lorafw.certification.live import Live
from lorafw.certification.verdict import loss_text
from lorafw.contracts.exporter import Exporter, ExportRequest
from lorafw.contracts.trainer import FitResult, RunningTrainer, TrainJob
from lorafw.errors import ExportError, Interrupted
from lorafw.training.guards.room import require_room
from lorafw.training.stopping import heard_signal


@dataclass
class RunSession:
    """One run of one model; implements `lorafw.contracts.Session`.

    Attributes:
        running: the connected trainer.
        job: the job every stage derives its own from.
        request: what exporters are given.
        exporters: by the name they were chosen with.
        folder: the run's folder.
        result: the last finished fit.
        exports: what was exported, by exporter name.
    """

    running: RunningTrainer
    job: TrainJob
    request: ExportRequest
    exporters: Mapping[str, Exporter]
    folder: Path
    result: FitResult | None = None
    exports: dict[str, Path] = field(default_factory=dict)

    def fit(self, stage: str) -> FitResult:
        """Train; continues a stage that an earlier process left unfinished.

        Raises:
            Interrupted: the process was asked to stop; a checkpoint was written.
        """
        self._announce("stage_start", stage=stage)
        job = replace(self.job, checkpoints=self.folder / "checkpoints" / stage)
        if self.running.world.rank == 0:
            self._foresee_exports()
            sizes = (exporter.expected_bytes(self.request) for exporter in self.exporters.values())
            require_room(job, self.folder, sum(sizes))
        self.result = self.running.fit(job)
        if self.result.stopped:
            end = Interrupted(
                f"stopped on request after step {self.result.steps}.",
                mend="A checkpoint was written; continue with --resume.",
            )
            end.exit_code = 128 + heard_signal()
            raise end
        return self.result

    def _foresee_exports(self) -> None:
        """Raise ExportError now for an export that would be refused after training."""
        for name, exporter in self.exporters.items():
            try:
                exporter.foresee(self.request)
            except ExportError as error:
                fault = f"exporter '{name}' would refuse the trained model: {error.what}"
                raise ExportError(fault, where=error.where, mend=error.mend) from error

    def evaluate(self) -> Mapping[str, float]:
        """Held-out figures of the model as it is."""
        return self.running.evaluate(self.job)

    def export(self) -> None:
        """Run every exporter on rank 0, while the weights are whole on every rank.

        Raises:
            ExportError: one cannot be written, or is not the model that was trained; those before
                it are there.
        """
        self._announce("stage_start", stage="export")
        with self.running.full_parameters(self.job.model.bundle.module):
            if self.running.world.rank == 0:
                live = Live(self.request, self.job.encoder)
                for name, exporter in self.exporters.items():
                    self._export(name, exporter, live)

    def _export(self, name: str, exporter: Exporter, live: Live) -> None:
        final = self.folder / name
        try:
            certificate = publish(lambda folder: live.exported(exporter, folder, final), final)
        except (OSError, SafetensorError) as error:
            raise ExportError(
                f"cannot be written: {error}.",
                where=str(final),
                mend="Mend this and continue with --resume: what was trained is in a checkpoint.",
            ) from error
        except ExportError as error:
            later = f"What was trained is in a checkpoint: lorafw export {self.folder} --to {name}"
            mend = f"{error.mend} {later}".strip()
            raise ExportError(error.what, where=error.where, mend=mend) from error
        clear_unfinished(self.folder, name)
        self.exports[name] = final
        self.job.emit("export_end", exporter=name, path=final)
        if certificate.verdict == "lossy" and certificate.comparison is not None:
            loss = loss_text(certificate.comparison)
            self.job.emit("notice", message=f"{name} was rounded, as accepted: {loss}")

    def _announce(self, event: str, **payload: object) -> None:
        if self.running.world.rank == 0:
            self.job.emit(event, **payload)
