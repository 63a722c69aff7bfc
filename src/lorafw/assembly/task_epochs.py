"""How often each task's rows are passed over, where the plan says it for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorafw.errors import ConfigError


def split_epochs(plan: Mapping[str, Any], tasks: int) -> tuple[dict[str, Any], tuple[int, ...]]:
    """The plan's options with a single number of epochs, the most of any task, and each task's.

    Args:
        plan: options as given; `epochs` may be a number, a list, or numbers with commas between.
        tasks: how many tasks the run has.

    Raises:
        ConfigError: it is a list, and not one of as many whole numbers as there are tasks.
    """
    given = plan.get("epochs", 1)
    if not (isinstance(given, list | tuple) or (isinstance(given, str) and "," in given)):
        return dict(plan), (given,) * tasks
    each = tuple(map(_number, _parts(given)))
    if not tasks:
        mend = "Write one number, or list the tasks: -o tasks=NAME,NAME"
        raise _wrong(f"is for {len(each)} tasks, and the run has none.", mend)
    if len(each) != tasks:
        fault = f"is for {len(each)} tasks, and the run has {tasks}."
        raise _wrong(fault, "Write one number for all, or one for each.")
    return {**plan, "epochs": max(each)}, each


def _parts(given: Any) -> list[Any]:
    if not isinstance(given, str):
        return list(given)
    return [int(part) if part.strip().isdecimal() else part for part in given.split(",")]


def _number(part: Any) -> int:
    if isinstance(part, int) and not isinstance(part, bool) and part >= 1:
        return part
    fault = f"should hold whole numbers, at least 1, not {part!r}."
    raise _wrong(fault, "One for each task, such as 5,3,7.")


def _wrong(fault: str, mend: str) -> ConfigError:
    return ConfigError(fault, where="plan.epochs", mend=mend)
