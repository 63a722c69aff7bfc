"""Rows of tasks that were learned, drawn from the model itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lorafw.types import IGNORE_INDEX, Encoded
from lorafw_continual._generated_form import (
    Form,
    WrittenRows,
    check_rows,
    end_of,
    parted,
)
from lorafw_continual._rows import joined

if TYPE_CHECKING:
    from lorafw.contracts import Session, Task
    from lorafw_continual.lfpt5 import LFPT5


class PseudoRows:
    """Writes rows to be generated, and draws rows of the tasks that were learned.

    Args:
        session: draws from its live model; its record is told how many of the draws are rows.
        options: how many, and how they are drawn.

    Raises:
        CompositionError: rows of a task cannot be written to be generated.
    """

    def __init__(self, session: Session, options: LFPT5) -> None:
        self._session, self._options = session, options
        tokenizer, between = session.model.bundle.tokenizer, options.separator
        self._forms = {
            task.name: Form.of(task.name, between, tokenizer, session.longest(task))
            for task in session.tasks
        }
        for task in session.tasks:
            check_rows(task.name, task.rows)
        self._learned: list[Task] = []
        self._told: dict[str, dict[str, dict[str, int]]] = {}

    @property
    def marks(self) -> list[tuple[int, ...]]:
        """What rows to be generated begin with, one for each task."""
        return [form.mark for form in self._forms.values()]

    def learned(self, task: Task) -> None:
        """Draw rows of this task too from now on."""
        self._learned.append(task)

    def drawn(self, stage: str) -> dict[str, list[Encoded]]:
        """Rows of every task that was learned, by its name; as the live model makes them up."""
        found = {task.name: self._of(task, stage) for task in self._learned}
        self._session.note(pseudo_rows=self._told)
        return found

    def both_forms(self, rows: Mapping[str, Sequence[Encoded]]) -> Sequence[Encoded]:
        """Rows by task, as they are solved and as they are generated."""
        written = [WrittenRows(each, self._forms[name]) for name, each in rows.items()]
        return joined(*rows.values(), *written)

    def _of(self, task: Task, stage: str) -> list[Encoded]:
        options, form, end = self._options, self._forms[task.name], end_of(task.rows)
        mark = Encoded(form.mark, [IGNORE_INDEX] * len(form.mark))
        count = options.pseudo_rows or max(1, round(options.pseudo_ratio * len(task.rows)))
        draws = self._session.draw(
            f"{stage}/{task.name}",
            [mark] * count,
            new_tokens=int(WrittenRows(task.rows, form).lengths.max()) - len(form.mark),
            ends=() if _has_inside(task.rows, end) else (end,),
            temperature=options.temperature,
            top_k=options.top_k,
        )
        rows = [row for each in draws if (row := form.read(each, end)) is not None]
        self._told.setdefault(stage, {})[task.name] = {"drawn": count, "kept": len(rows)}
        return rows


def _has_inside(rows: Sequence[Encoded], end: int) -> bool:
    """Whether a prompt has the id that ends rows, as in chats, so that a draw goes on behind it."""
    return any(end in parted(row)[0] for row in rows)
