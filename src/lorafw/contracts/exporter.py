"""Exporter: a trained model as files that were read back before success is reported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from lorafw.contracts._sizes import numel
from lorafw.contracts.component import Component
from lorafw.contracts.injector import AdaptedModel
from lorafw.contracts.model import ModelBuilder
from lorafw.errors import ExportError
from lorafw.types import Capability, Tokenizer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is exported and what must be known to use it later.

    Attributes:
        recipe: how to ask the model: the model, encoder and versions, as JSON values.
        run: folder of the run it was trained in, with its stages and scores; None if that is not
            known.
    """

    model: AdaptedModel
    builder: ModelBuilder
    recipe: Mapping[str, Any]
    run: Path | None = None


@dataclass(frozen=True, slots=True)
class Reopened:
    """An export as the tool it is for reads it.

    Attributes:
        tool: what read it, with its version, such as `transformers 5.23.0`.
        logits: from token ids to what follows each of them: fp32 [len(ids), vocab], on the CPU; of
            a classifier the scores of its classes, fp32 [classes].
        tokenizer: the one in the export; None if it holds none.
        tied: whether embedding and head are one weight; None if the tool does not tell.
    """

    tool: str
    logits: Callable[[Sequence[int]], Tensor]
    tokenizer: Tokenizer | None = None
    tied: bool | None = None


class Exporter(Component, ABC):
    """Writes a model in one format.

    `export` writes into `folder`, which is a temporary one: the caller renames it when the
    exporter has returned, so nothing half-written is ever seen under its final name. Before that
    the caller opens it again with `reopen`, compares it with the trained model, and writes a
    certificate beside the files.
    """

    requires: ClassVar[frozenset[Capability]] = frozenset()

    accept_loss: bool = Field(
        False, description="Export even if the wished dtype rounds numbers; the loss is told."
    )

    def expected_bytes(self, request: ExportRequest) -> int:
        """About how much `export` will write; asked before training, so that it ends in room.

        Unless an exporter knows better: the trained numbers in fp32.
        """
        return sum(4 * numel(p) for p in request.model.trainable().values())

    def rounds(self, request: ExportRequest) -> bool:  # noqa: ARG002 - for those that can
        """Whether these options, or the format, hold numbers coarser than the model does.

        Such an export is refused unless `accept_loss` is set; any other has to compute what the
        trained model computes, up to what the model's own dtype explains.
        """
        return False

    def foresee(self, request: ExportRequest) -> None:
        """See before training that the export after it will be taken.

        Raises:
            ExportError: the export would be refused; unless an exporter knows more, for rounding
                what it may not.
        """
        if self.rounds(request) and not self.accept_loss:
            fault = "its dtype holds coarser numbers than the model has."
            mend = "Accept that with accept_loss: true, or choose a wider dtype."
            raise ExportError(fault, where="exporters", mend=mend)

    @abstractmethod
    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        """Write, read back and compare; return the files written.

        Raises:
            ExportError: what was read back is not what was written.
        """

    def reopen(
        self,
        folder: Path,  # noqa: ARG002 - an exporter whose files can be run overrides it
        builder: ModelBuilder,  # noqa: ARG002
    ) -> Reopened | None:
        """Read an export back in the tool it is for, to be compared with the trained model.

        Called in a process of its own, in which no other model is in memory.

        Args:
            folder: what `export` wrote, here or on another machine.
            builder: of the base model, for exports that do not hold it.

        Returns:
            The model that the tool made of it; None if no tool that could is installed.

        Raises:
            ExportError: the tool cannot read it.
        """
        return None
