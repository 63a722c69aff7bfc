"""The section `tasks` as plain values of one form, however it was written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lorafw.assembly.unset import UNSET
from lorafw.errors import ConfigError, did_you_mean

TASKS = "tasks"
"""The section that lists what a run trains one after another."""
KEYS = ("name", "dataset", "epochs", "encoder", "metrics", "max_new_tokens")
OTHER_WORDS: Mapping[str, str] = {"template": "encoder", "metric": "metrics"}
"""What users may write instead of a key."""
_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


class TaskItems:
    """Brings each task into one form: a mapping with `KEYS`, of which only the name must be there.

    Args:
        part: gives a part's section its one form, told its key.
        wrong: the error for a key, told the fault.
    """

    def __init__(
        self,
        part: Callable[[str, Any], dict[str, Any]],
        wrong: Callable[[str, str], ConfigError],
    ) -> None:
        self._part, self._wrong = part, wrong

    def read(self, value: Any, former: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
        """All tasks in their order.

        Args:
            value: a list, or names with commas between them.
            former: tasks that were listed before; one whose bare name comes again keeps what was
                said of it.

        Raises:
            ConfigError: an item has another form, or two have one name.
        """
        known = {str(item["name"]): dict(item) for item in former if "name" in item}
        listed = self._listed(value)
        written = [known.get(item, item) if isinstance(item, str) else item for item in listed]
        items = [self._item(f"{TASKS}.{index}", item) for index, item in enumerate(written)]
        self._check_names([item["name"] for item in items])
        return items

    def _listed(self, value: Any) -> list[Any]:
        if isinstance(value, str):
            value = [name.strip() for name in value.split(",")]
        if not isinstance(value, list) or not value:
            fault = f"should be a list of tasks, such as [first, second], not {value!r}."
            raise self._wrong(TASKS, fault)
        return [dict(item) if isinstance(item, Mapping) else item for item in value]

    def _item(self, key: str, value: Any) -> dict[str, Any]:
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict):
            fault = f"should be a name, or a mapping with `name`, not {value!r}."
            raise self._wrong(key, fault)
        options = self._known(key, {str(name): inner for name, inner in value.items()})
        if "name" not in options:
            raise self._wrong(key, "has no name. Add: name: NAME")
        return {name: self._value(f"{key}.{name}", name, options[name]) for name in options}

    def _known(self, key: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options under their own names, those that say nothing left out."""
        found: dict[str, Any] = {}
        for word, value in options.items():
            name = OTHER_WORDS.get(word, word)
            if name not in KEYS:
                mend = did_you_mean(word, (*KEYS, *OTHER_WORDS)) or f"Known: {', '.join(KEYS)}."
                raise self._wrong(f"{key}.{word}", f"unknown option. {mend}")
            if name in found:
                same = " and ".join(each for each in options if OTHER_WORDS.get(each, each) == name)
                raise self._wrong(key, f"{same} mean the same; leave one of them out.")
            if value is not None:
                found[name] = value
        return found

    def _value(self, key: str, name: str, value: Any) -> Any:
        if name == "metrics":
            listed = value if isinstance(value, list) else [value]
            return [self._part(f"{key}.{index}", item) for index, item in enumerate(listed)]
        if name in ("dataset", "encoder"):
            return self._part(key, value)
        if value == UNSET:
            return value
        if name in ("epochs", "max_new_tokens"):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise self._wrong(key, f"should be a whole number, at least 1, not {value!r}.")
        elif not isinstance(value, str) or not _FOLDER_NAME.fullmatch(value):
            fault = (
                f"should be a name that a folder can have, not {value!r}: letters a to z, digits, "
                "and . _ + - behind the first."
            )
            raise self._wrong(key, fault)
        return value

    def _check_names(self, names: Sequence[str]) -> None:
        """Each names a folder, and there are disks on which a and A are one."""
        seen: dict[str, int] = {}
        for index, name in enumerate(names):
            first = seen.setdefault(name.casefold(), index)
            if first != index and name != UNSET:
                fault = f"'{name}' is the name of {TASKS}.{first} already."
                raise self._wrong(f"{TASKS}.{index}", fault)
