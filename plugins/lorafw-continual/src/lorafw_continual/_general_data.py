"""General data in a list of tasks: trained beside what is stored, and not to be learned itself."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING

from pydantic import Field

from lorafw.errors import ConfigError, did_you_mean
from lorafw_continual._rows import sample
from lorafw_continual._sequence import TaskSequence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.contracts import Company, Session
    from lorafw.types import Encoded

_WHERE = "scenario.general"


class WithGeneralData(TaskSequence, ABC):
    """A sequence of tasks of which one may be general data."""

    general: str | None = Field(
        None,
        description="Name of a task in the list that is not to be learned: general data, trained "
        "with every replay from the first task on.",
    )
    general_rows: int | None = Field(
        None, ge=1, description="Rows of the general data that are replayed; null for all."
    )

    @property
    def apart(self) -> frozenset[str]:
        """General data is no task to be learned."""
        return frozenset() if self.general is None else frozenset({self.general})

    def check(self, company: Company) -> None:
        """Refuse general data that is not there, or beside which nothing is.

        Raises:
            ConfigError: so it is.
        """
        super().check(company)
        known = company.tasks
        if self.general is None and self.general_rows is not None:
            mend = "Name the task whose rows they are."
            raise ConfigError("is not set, and general_rows is.", where=_WHERE, mend=mend)
        if self.general is not None and self.general not in known:
            mend = did_you_mean(self.general, known) or f"Known: {', '.join(known)}."
            raise ConfigError(f"no task is called '{self.general}'.", where=_WHERE, mend=mend)
        if self.general is not None and len(known) == 1:
            raise ConfigError("there is no other task.", where=_WHERE, mend="Add those to learn.")

    def general_data(self, session: Session) -> list[Sequence[Encoded]]:
        """Its rows, or nothing; the record is told which task it is."""
        if self.general is None:
            return []
        session.note(general=self.general)
        (task,) = (task for task in session.tasks if task.name == self.general)
        count = self.general_rows or len(task.rows)
        return [sample(task.rows, count, session.seed, task.name)]
