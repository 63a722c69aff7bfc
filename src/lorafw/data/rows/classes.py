"""The classes of a labelled data set, and the number of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lorafw.data.rows.row_kinds import NamedLabel
from lorafw.errors import DataError, did_you_mean
from lorafw.types import LabeledExample


@dataclass(frozen=True, slots=True)
class Classes:
    """The names of classes, in the order of their numbers."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, labels: Iterable[str | int]) -> Classes:
        """The classes that labels speak of.

        Numbers count classes from 0 to the highest, each called by its number. Texts are names:
        in the order of the numbers they spell if all of them do, else of their code points.

        Raises:
            DataError: some labels are numbers and others are texts.
        """
        found = set(labels)
        numbers = {label for label in found if isinstance(label, int)}
        texts = {label for label in found if isinstance(label, str)}
        if numbers and texts:
            one, other = min(numbers), min(texts)
            raise DataError(f"some labels are numbers ({one}), others are texts ('{other}').")
        if numbers:
            return cls(tuple(str(number) for number in range(max(numbers) + 1)))
        spelt = all(text.isdecimal() for text in texts)
        return cls(tuple(sorted(texts, key=lambda text: (int(text) if spelt else 0, text))))

    def numbered(self, row: NamedLabel) -> LabeledExample:
        """The row with the number of its class; a number may also be spelt in digits.

        Raises:
            DataError: there is no such class.
        """
        return LabeledExample(row.text, row.text_pair, self._number(row.label))

    def _number(self, label: str | int) -> int:
        if str(label) in self.names:
            return self.names.index(str(label))
        # Where classes are called by numbers, a number is a name and nothing else.
        named_by_number = any(name.isdecimal() for name in self.names)
        if isinstance(label, str) and (named_by_number or not label.isdecimal()):
            raise self._unknown(f"there is no class '{label}'.", did_you_mean(label, self.names))
        if named_by_number or not 0 <= int(label) < len(self.names):
            raise self._unknown(f"there is no class number {label}.", "")
        return int(label)

    def _unknown(self, fault: str, hint: str) -> DataError:
        known = ", ".join(self.names[:10]) + (", …" if len(self.names) > 10 else "")
        mend = hint or f"Known: {known}; dataset.classes names them all, in their order."
        return DataError(fault, mend=mend)
