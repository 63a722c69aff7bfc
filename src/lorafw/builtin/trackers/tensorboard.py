"""Listener `tensorboard`: figures, settings and notices for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from lorafw.builtin.trackers._packages import need
from lorafw.builtin.trackers._settings import Scalar
from lorafw.builtin.trackers._told import goes_on
from lorafw.builtin.trackers._tracking import Tracking
from lorafw.contracts.listener import Listener

FOLDER = "tensorboard"


class TensorBoard(Listener):
    """Writes for TensorBoard into the run's folder: `tensorboard --logdir runs`."""

    flush_seconds: int = Field(
        10, ge=1, description="Longest time until figures are on disk, in seconds."
    )

    def preflight(self) -> None:
        """See that tensorboard is installed.

        Raises:
            LorafwError: it is not.
        """
        need("tensorboard", "tensorboard")

    def open(self, folder: Path) -> object:
        """A listener that writes when the run has begun."""
        return _Writer(folder, self.flush_seconds)


class _Writer(Tracking):
    def __init__(self, folder: Path, flush_seconds: int) -> None:
        super().__init__(folder)
        self._flush_seconds = flush_seconds
        self._writer: Any = None
        self._resumes = False

    def begin(self, name: str, settings: Mapping[str, Scalar]) -> None:  # noqa: ARG002 - see folder
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        place = self.folder / FOLDER
        was_used = place.is_dir() and any(place.iterdir())
        self._resumes = was_used and goes_on(self.folder)
        self._writer = SummaryWriter(str(place), flush_secs=self._flush_seconds)
        if was_used and not self._resumes:
            self._purge(0)
        experiment, session, _ = hparams(_without_none(settings), {})  # type: ignore[no-untyped-call]
        self._writer.file_writer.add_summary(experiment)
        self._writer.file_writer.add_summary(session)
        self._text("config", _table(settings), 0)

    def go_on(self, step: int, counts: Mapping[str, int]) -> None:
        if self._resumes:
            self._purge(step + 1)
            self._resumes = False
        self._text("counts", _table(counts), step)

    def log(self, series: str, step: int, figures: Mapping[str, float]) -> None:  # noqa: ARG002
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def say(self, step: int, message: str) -> None:
        self._text("notices", message, step)

    def end(self, error: str | None, result: Mapping[str, Scalar]) -> None:
        text = _table(result) if error is None else f"Failed: {error}"
        self._text("result", text, self._step)
        self._writer.file_writer.add_summary(_ended(failed=error is not None))
        self._writer.close()

    def _text(self, name: str, text: str, step: int) -> None:
        self._writer.add_text(name, text, step)

    def _purge(self, step: int) -> None:
        """Tell readers that what an earlier process wrote from this step on does not count."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        start = SessionLog(status=SessionLog.START)
        # Readers heed a start only after an event that names a version of the file's layout.
        self._writer.file_writer.add_event(Event(step=step, file_version="brain.Event:2"))
        self._writer.file_writer.add_event(Event(step=step, session_log=start))


def _ended(*, failed: bool) -> Any:
    """The mark by which TensorBoard's table of runs tells how this one ended."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    end = SessionEndInfo(status=STATUS_FAILURE if failed else STATUS_SUCCESS)
    content = HParamsPluginData(session_end_info=end, version=0).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=content)
    metadata = SummaryMetadata(plugin_data=plugin)
    return Summary(value=[Summary.Value(tag="_hparams_/session_end_info", metadata=metadata)])


def _without_none(settings: Mapping[str, Scalar]) -> dict[str, str | float | bool]:
    return {name: "null" if value is None else value for name, value in settings.items()}


def _table(values: Mapping[str, Scalar]) -> str:
    """Markdown, which TensorBoard shows; what would be markup there is quoted."""
    rows = "\n".join(f"| {name} | {_quoted(value)} |" for name, value in values.items())
    return f"| name | value |\n|---|---|\n{rows}"


def _quoted(value: Scalar) -> str:
    text = str(value).replace("`", "'").replace("|", "\\|").replace("\n", " ")
    return f"`{text}`" if text else ""
