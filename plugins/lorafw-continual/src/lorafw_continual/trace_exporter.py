"""Exporter `trace`: the folder that TRACE's training and inference leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.contracts.exporter import Exporter, ExportRequest, Reopened
from lorafw.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lorafw.contracts import ModelBuilder


class TraceExporter(Exporter):
    """Every round of a run over several tasks, laid out as TRACE (arXiv:2310.06762) does.

    A folder `0`, `1`, … for each round, with what it left and the tokenizer: the adapter as PEFT
    reads it, or the whole model where the base itself was trained (injector `full`). And for each
    round and each task trained so far a file `results-ROUND-NUMBER-TASK.json` of figures, prompts,
    answers and labels, as they were scored.
    """

    def expected_bytes(self, request: ExportRequest) -> int:
        """Of one round, times the tasks."""
        from lorafw_continual._rounds import task_names

        return super().expected_bytes(request) * len(task_names(request.run))

    def foresee(self, request: ExportRequest) -> None:
        """Refuse a run without a list of tasks.

        Raises:
            ExportError: it has none.
        """
        from lorafw_continual._rounds import task_names

        super().foresee(request)
        if not task_names(request.run):
            fault = "exporter 'trace' is for a run over several tasks."
            raise ExportError(fault, where=str(request.run or ""), mend="List them: tasks.")

    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        """Write all rounds and results; the model has its own values again afterwards.

        Raises:
            ExportError: this is no run over several tasks, or a file differs when read back.
            LorafwError: what the run keeps is damaged.
        """
        from lorafw_continual._rounds import rounds_of, task_names
        from lorafw_continual._trace_files import write_results, write_rounds

        self.foresee(request)
        assert request.run is not None
        if not (rounds := rounds_of(request.run)):
            raise ExportError("no task has been trained to its end.", where=str(request.run))
        write_rounds(request, rounds, folder)
        write_results(rounds, task_names(request.run), request.run, folder)
        return sorted(path for path in folder.rglob("*") if path.is_file())

    def reopen(self, folder: Path, builder: ModelBuilder) -> Reopened | None:
        """Open the last round, which is the trained model."""
        from lorafw.builtin.adapter_exporter import AdapterExporter
        from lorafw.builtin.merged_exporter import MergedExporter

        last = max((p for p in folder.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
        adapter = (last / "adapter_config.json").is_file()
        return (AdapterExporter() if adapter else MergedExporter()).reopen(last, builder)
