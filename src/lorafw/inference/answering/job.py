"""The rows of a file answered one window after the other, told in their order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lorafw.errors import DataError, LorafwError
from lorafw.inference.answering.respondent import Sized

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lorafw.data.rows.questions import Question
    from lorafw.inference.answering.respondent import Respondent

T = TypeVar("T", bound=Sized)


@dataclass(frozen=True, slots=True)
class Answered:
    """A row and what was found for it.

    Attributes:
        question: the row; None if it could not be read.
        found: fields that are written beside those of the row.
    """

    question: Question | None
    found: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Slot(Generic[T]):
    question: Question | None
    taken: T | None = None
    fault: LorafwError | None = None


class AnswerJob(Generic[T]):
    """Answers all questions of a source.

    Windows are cut by the questions alone. So a job that goes on in the midst of one computes what
    it would have computed without a pause, batch by batch.

    Args:
        respondent: who answers.
        questions: begins at the first row whenever it is called.
        skip_bad: rows that cannot be asked get their fault in place of an answer.
    """

    def __init__(
        self,
        respondent: Respondent[T],
        questions: Callable[[], Iterator[Question | DataError]],
        *,
        skip_bad: bool = False,
    ) -> None:
        self._respondent, self._questions = respondent, questions
        self._skip_bad = skip_bad

    def check(self) -> int:
        """How many rows there are, after a look at each of them.

        Raises:
            DataError: one cannot be asked, and bad rows are not skipped.
        """
        faults, rows = [], 0
        for slot in self._slots():
            rows += 1
            faults += [slot.fault] if slot.fault else []
        if faults and not self._skip_bad:
            raise _first_of(faults)
        return rows

    def run(self, *, done: int = 0) -> Iterator[Answered]:
        """The rows with what was found, in their order.

        Args:
            done: how many rows are left out because they were told before.
        """
        behind = 0
        for window in self._windows():
            if behind + len(window) > done:
                for at, answered in enumerate(self._answered(window), behind):
                    if at >= done:
                        yield answered
            behind += len(window)

    def _answered(self, window: Sequence[_Slot[T]]) -> Iterator[Answered]:
        """In order; each as soon as it and all before it are found."""
        sound = [at for at, slot in enumerate(window) if slot.taken is not None]
        taken = [slot.taken for slot in window if slot.taken is not None]
        found: dict[int, Mapping[str, Any]] = {
            at: {"error": _placed(slot.fault)} for at, slot in enumerate(window) if slot.fault
        }
        told = 0
        answers = self._respondent.answer(taken) if taken else iter(())
        while told < len(window):
            while told not in found:
                at, fields = next(answers)
                found[sound[at]] = fields
            yield Answered(window[told].question, found.pop(told))
            told += 1

    def _windows(self) -> Iterator[list[_Slot[T]]]:
        """Neighbours that come to no more tokens than the respondent takes together."""
        window: list[_Slot[T]] = []
        size = 0
        for slot in self._slots():
            more = 0 if slot.taken is None else slot.taken.size
            if window and size + more > self._respondent.window:
                yield window
                window, size = [], 0
            window.append(slot)
            size += more
        if window:
            yield window

    def _slots(self) -> Iterator[_Slot[T]]:
        for found in self._questions():
            if isinstance(found, DataError):
                yield _Slot(None, fault=found)
                continue
            try:
                yield _Slot(found, self._respondent.take(found))
            except LorafwError as error:
                yield _Slot(found, fault=DataError(error.what, where=found.where, mend=error.mend))


def _first_of(faults: Sequence[LorafwError]) -> DataError:
    first = faults[0]
    more = f"{len(faults) - 1:,} more rows like it. " if len(faults) > 1 else ""
    mend = f"{first.mend} {more}".strip() + " Or leave such rows unanswered: --skip-bad"
    return DataError(first.what, where=first.where, mend=mend.strip())


def _placed(fault: LorafwError | None) -> str:
    """The fault with the name of its file, wherever that lies."""
    assert fault is not None
    return f"{Path(fault.where).name}: {fault.what}"
