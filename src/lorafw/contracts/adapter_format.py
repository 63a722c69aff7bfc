"""AdapterFormat: adapters in files of one layout, to and from lorafw's own form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from lorafw.contracts.component import Component
from lorafw.contracts.model import ModelBuilder, Outline
from lorafw.errors import AdapterError
from lorafw.types import AdapterState, Task


@dataclass(frozen=True)
class AdapterBase:
    """What is known of the base model an adapter is for; formats ask for as much as they need.

    Attributes:
        builder: made for the base's files; None if nobody said which base it is.
        path: where other tools find the base; None if unknown.
        recipe: how to ask the adapted model, as JSON values; empty if unknown.
        task: what the adapted model is for.
    """

    builder: ModelBuilder | None = None
    path: str | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    task: Task = Task.CAUSAL_LM

    @cached_property
    def outline(self) -> Outline | None:
        """The base's module tree, no weight read; None if the base is unknown.

        Raises:
            ModelError: the base's files are damaged.
        """
        return None if self.builder is None else self.builder.outline()

    def needed(self, purpose: str) -> ModelBuilder:
        """The builder of the base.

        Args:
            purpose: what it is needed for, to end the sentence "the base model is needed to …".

        Raises:
            AdapterError: nobody said which base it is.
        """
        if self.builder is None:
            mend = "Say where it is: --base PATH"
            raise AdapterError(f"the base model is needed to {purpose}.", mend=mend)
        return self.builder


class AdapterFormat(Component, ABC):
    """Reads and writes adapters as another tool, or another code of a model, keeps them.

    `read` gives canonical names: those of the modules of lorafw's base, whatever the files call
    them. What a format cannot hold, it refuses to write; nothing is left out silently.
    """

    general: ClassVar[bool] = False
    """Other formats are special cases of this one, so it is asked after them what a file is."""

    @property
    def rounding(self) -> float:
        """The largest change of a module's update by writing and reading, relative to its norm.

        0 promises the same bits.
        """
        return 0.0

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a file or folder looks like this format's; torch-free, quick, never raises."""

    @abstractmethod
    def read(self, path: Path, base: AdapterBase) -> AdapterState:
        """The adapter in a file or folder, fp32, under canonical names.

        Raises:
            AdapterError: it is missing, damaged, not of this format or not of this base; or the
                base must be known, and is not.
        """

    @abstractmethod
    def write(self, state: AdapterState, path: Path, base: AdapterBase) -> Sequence[Path]:
        """Write an adapter, and return the files; the caller reads them back and compares.

        Args:
            state: what is written.
            path: of the file or folder to make; nothing is there, and its parent is.
            base: the adapter's base model.

        Raises:
            AdapterError: the format cannot hold such an adapter, or the base must be known.
            ExportError: a number does not fit the files' dtype.
        """

    def remarks(
        self,
        path: Path,  # noqa: ARG002 - most files hold what they seem to hold
        base: AdapterBase,  # noqa: ARG002
    ) -> Sequence[str]:
        """What a user should know of these files beyond the adapter in them: whole sentences.

        Raises:
            AdapterError: as `read`.
        """
        return ()
