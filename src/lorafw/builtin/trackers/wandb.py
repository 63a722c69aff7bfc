"""Listener `wandb`: figures, settings and notices for Weights & Biases."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from lorafw.builtin.trackers._packages import need
from lorafw.builtin.trackers._settings import Scalar
from lorafw.builtin.trackers._told import Told
from lorafw.builtin.trackers._tracking import Tracking
from lorafw.contracts.listener import Listener
from lorafw.errors import LorafwError

FOLDER, TOLD = "wandb", "lorafw.json"
Mode = Literal["online", "offline"]


class WandB(Listener):
    """Sends figures, settings and notices to Weights & Biases, or keeps them for later."""

    project: str = Field("lorafw", min_length=1, description="Project of the run.")
    entity: str | None = Field(None, description="User or team; null for the account's own.")
    name: str | None = Field(None, description="Name shown; null for the run's own.")
    group: str | None = Field(None, description="Group of runs it belongs to.")
    tags: tuple[str, ...] = Field((), description="Tags of the run.")
    mode: Mode | None = Field(
        None,
        description="`online`, or `offline` to send it later with `wandb sync`; "
        "null for what WANDB_MODE says, else online.",
    )

    @property
    def chosen_mode(self) -> str:
        """The mode that is in force: the option's, the environment's, or online."""
        return self.mode or os.environ.get("WANDB_MODE") or "online"

    def preflight(self) -> None:
        """See that wandb is installed and, to go online, that it has a key.

        Raises:
            LorafwError: it is not, or has none.
        """
        need("wandb", "wandb")
        if self.chosen_mode == "online":
            _need_key()

    def open(self, folder: Path) -> object:
        """A listener that connects when the run has begun."""
        return _Sender(folder, self)


def _need_key() -> None:
    """See that there is a place to find a key in: asking for one would halt the run."""
    home = Path.home()
    own = Path(os.environ.get("WANDB_CONFIG_DIR") or home / ".config" / "wandb") / "settings"
    netrc = Path(os.environ.get("NETRC") or home / ".netrc")
    told = any(os.environ.get(name) for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"))
    if not (told or any(place.exists() for place in (own, netrc, home / "_netrc"))):
        raise LorafwError(
            "wandb has no API key.",
            mend="Run `wandb login`, set WANDB_API_KEY, or set mode: offline.",
        )


class _Sender(Tracking):
    def __init__(self, folder: Path, options: WandB) -> None:
        super().__init__(folder)
        self._options = options

    def begin(self, name: str, settings: Mapping[str, Scalar]) -> None:
        self._told = Told.read(self.folder / FOLDER / TOLD, self.folder)
        known = bool(self._told.run)
        self._told.run = self._told.run or uuid.uuid4().hex[:8]
        self._told.write()
        self._run = self._connect(name, known=known)
        self._run.config.update(dict(settings), allow_val_change=True)
        # Steps are an axis, not wandb's own counter, which drops whatever comes out of order.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def _connect(self, name: str, *, known: bool) -> Any:
        import wandb

        mode = self._options.chosen_mode
        about = self._options.model_dump(include={"project", "entity", "group", "tags"})
        return wandb.init(
            **about,
            id=self._told.run,
            name=self._options.name or name,
            dir=str(self.folder),
            mode=mode,  # type: ignore[arg-type] # wandb itself refuses what WANDB_MODE may not say
            resume="allow" if known and mode == "online" else None,
            settings=wandb.Settings(silent=True, console="off", reinit="create_new"),
        )

    def go_on(self, step: int, counts: Mapping[str, int]) -> None:  # noqa: ARG002 - see Told
        self._run.summary.update(dict(counts))

    def log(self, series: str, step: int, figures: Mapping[str, float]) -> None:
        if self._told.is_news(series, step):
            self._run.log({**figures, "step": step})

    def say(self, step: int, message: str) -> None:  # noqa: ARG002 - wandb keeps one text
        self._run.summary["notices"] = self._told.add_notice(message)

    def end(self, error: str | None, result: Mapping[str, Scalar]) -> None:
        outcome = dict(result) if error is None else {"error": error}
        self._run.summary.update({f"result/{name}": value for name, value in outcome.items()})
        self._run.finish(exit_code=0 if error is None else 1)
