"""What a run leaves for others: every export certified before it appears under its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError

from lorafw.adapters.files.safe_files import clear_unfinished, publish
from lorafw.builtin.adapter_exporter import AdapterExporter
from lorafw.certification.live import Live
from lorafw.certification.verdict import loss_text
from lorafw.contracts.encoder import Encoder
from lorafw.contracts.exporter import Exporter, ExportRequest
from lorafw.contracts.trainer import Emit
from lorafw.errors import ExportError


class Exports:
    """Writes exports of the live model; used on rank 0, while its weights are whole.

    Args:
        request: what exporters are given.
        exporters: by the name they were chosen with.
        folder: the run's.
        encoder: renders prompts as the rows of training were rendered.
        emit: is told of each.

    Attributes:
        written: folders of what was exported, by name.
    """

    def __init__(
        self,
        request: ExportRequest,
        exporters: Mapping[str, Exporter],
        folder: Path,
        encoder: Encoder,
        emit: Emit,
    ) -> None:
        self._request, self._exporters = request, exporters
        self._folder, self._encoder, self._emit = folder, encoder, emit
        self.written: dict[str, Path] = {}

    @property
    def expected_bytes(self) -> int:
        """About how much all of them will write."""
        return sum(exporter.expected_bytes(self._request) for exporter in self._exporters.values())

    def foresee(self) -> None:
        """Raise ExportError now for an export that would be refused after training."""
        for name, exporter in self._exporters.items():
            try:
                exporter.foresee(self._request)
            except ExportError as error:
                fault = f"exporter '{name}' would refuse the trained model: {error.what}"
                raise ExportError(fault, where=error.where, mend=error.mend) from error

    def write_all(self) -> None:
        """Run every exporter.

        Raises:
            ExportError: one cannot be written, or is not the model that was trained; those before
                it are there.
        """
        live = Live(self._request, self._encoder)
        for name, exporter in self._exporters.items():
            self._write(name, exporter, live)

    def write_adapter(self, name: str) -> None:
        """Export the adapter to a folder, if it is not there yet.

        Raises:
            ExportError: see `write_all`.
        """
        if (self._folder / name).is_dir():
            self.written[name] = self._folder / name
        else:
            self._write(name, AdapterExporter(), Live(self._request, self._encoder))

    def _write(self, name: str, exporter: Exporter, live: Live) -> None:
        final = self._folder / name
        try:
            certificate = publish(lambda folder: live.exported(exporter, folder, final), final)
        except (OSError, SafetensorError) as error:
            raise ExportError(
                f"cannot be written: {error}.",
                where=str(final),
                mend="Mend this and continue with --resume: what was trained is in a checkpoint.",
            ) from error
        except ExportError as error:
            later = f"What was trained is in a checkpoint: lorafw export {self._folder} --to {name}"
            mend = f"{error.mend} {later}".strip()
            raise ExportError(error.what, where=error.where, mend=mend) from error
        clear_unfinished(self._folder, name)
        self.written[name] = final
        self._emit("export_end", exporter=name, path=final)
        if certificate.verdict == "lossy" and certificate.comparison is not None:
            loss = loss_text(certificate.comparison)
            self._emit("notice", message=f"{name} was rounded, as accepted: {loss}")
