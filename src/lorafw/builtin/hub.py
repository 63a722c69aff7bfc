"""Exporter `hub`: push another export of the run to the Hugging Face hub."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import Field

from lorafw.contracts.exporter import Exporter, ExportRequest
from lorafw.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_WHERE = "exporters.hub"
_REPO = f"{_WHERE}.repo_id"
_PART = r"\w(?:[\w.-]{0,94}\w)?"
_NAME = re.compile(rf"(?!.*(?:--|\.\.)){_PART}/{_PART}", re.ASCII)


class Hub(Exporter):
    """Pushes a certified export, with a model card, to the Hugging Face hub in one commit.

    The export has to lie in the run's folder: name its exporter before `hub`. The token is that
    of `HF_TOKEN` or of `hf auth login`, never of the config. `hub.json` says what was pushed.
    """

    repo_id: str = Field(description="Where to push, as owner/name; made if it is not there.")
    what: str = Field("adapter", description="Which export to push, by its exporter's name.")
    private: bool = Field(True, description="Whether a repository that is made is private.")
    revision: str = Field("main", description="Branch to push to; made if it is not there.")
    license: str | None = Field(None, description="Licence of the model, such as apache-2.0.")
    language: tuple[str, ...] = Field((), description="Languages, by code, such as en.")
    dry_run: bool = Field(False, description="Push nothing; say in hub.json what would be pushed.")

    def preflight(self) -> None:
        """Check what can be foreseen: the name, that there is a token, and that it may be used.

        Raises:
            ConfigError: the name is none of the hub's, there is no token, or the hub is offline.
        """
        from huggingface_hub import get_token, is_offline_mode

        if not _NAME.fullmatch(self.repo_id):
            fault = f"'{self.repo_id}' is no name of the hub's."
            mend = "Write owner/name, of letters, digits, -, _ and dots."
            raise ConfigError(fault, where=_REPO, mend=mend)
        if self.dry_run:
            return
        if is_offline_mode():
            mend = "Unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE, or set dry_run: true."
            raise ConfigError("the hub is switched off.", where=_WHERE, mend=mend)
        if get_token() is None:
            mend = "Set HF_TOKEN, run `hf auth login`, or set dry_run: true."
            raise ConfigError("there is no token for the hub.", where=_WHERE, mend=mend)

    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        """Push, and write down what was.

        Raises:
            ExportError: there is no certified export of that name, or the hub refuses it.
        """
        from lorafw.builtin._hub_push import push

        return push(self, request, folder)

    def expected_bytes(self, request: ExportRequest) -> int:
        """A few kilobytes."""
        del request
        return 20_000
