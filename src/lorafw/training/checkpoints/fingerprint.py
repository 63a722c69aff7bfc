"""What a checkpoint must agree with to be continued, part by part, and what the user accepts."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lorafw.contracts.plan import TrainPlan
from lorafw.errors import CheckpointError, UsageError, did_you_mean

ACCEPTABLE = (
    "data",
    "held-out",
    "tokenizer",
    "template",
    "base",
    "adapter",
    "objective",
    "plan",
    "scenario",
    "seed",
)
"""What `accept_changed` may name."""
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Change:
    """One part of a run that is not what it was.

    Attributes:
        part: one of `ACCEPTABLE`.
        options: options that differ, with the old and the new value; the part's own under an
            empty name. None where only digests are known.
    """

    part: str
    options: Mapping[str, tuple[Any, Any]]

    def __str__(self) -> str:
        told = ", ".join(
            f"{self.part}{name and '.'}{name}: {_short(old)} -> {_short(new)}"
            for name, (old, new) in self.options.items()
        )
        return f"another {self.part}" + (f" ({told})" if told else "")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def changes(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Change]:
    """What differs between a run and the fingerprint in a checkpoint, in ACCEPTABLE's order.

    Parts that either of them does not tell of are not compared. Rows follow from the data, the
    tokenizer and the template: where the rows differ and one of the latter two does, the data
    differ only if the files do.
    """
    if "plan" in mine and "plan" in theirs:
        theirs = {**theirs, "plan": _with_defaults(theirs["plan"], mine["plan"])}
    differing = {name for name in mine.keys() & theirs.keys() if mine[name] != theirs[name]}
    if "data" in differing and differing & {"tokenizer", "template"} and "files" not in differing:
        differing.remove("data")
    return [
        Change(part, dict(_options(theirs[part], mine[part])))
        for part in ACCEPTABLE
        if part in differing
    ]


def _with_defaults(plan: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """A plan written when it lacked some of today's options; their defaults change nothing."""
    defaults = TrainPlan().model_dump(mode="json")
    return {**{name: defaults[name] for name in now if name in defaults}, **plan}


def _options(old: Any, new: Any) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        if not isinstance(new, str):  # a digest tells nothing
            yield "", (old, new)
        return
    for name in dict.fromkeys([*new, *old]):
        if new.get(name) != old.get(name):
            yield name, (old.get(name), new.get(name))


def flags_of(accepted: Iterable[str]) -> list[str]:
    """What is accepted, as arguments of `lorafw run`."""
    return [word for part in accepted for word in ("--accept-changed", part)]


def check_accepted(accepted: Collection[str], *, resume: bool) -> None:
    """See that only what there is gets accepted, and only where something is continued.

    Raises:
        UsageError: a name is none of `ACCEPTABLE`, or nothing is continued.
    """
    if accepted and not resume:
        raise UsageError("nothing is continued.", where="--accept-changed", mend="Add --resume.")
    for name in accepted:
        if name not in ACCEPTABLE:
            mend = did_you_mean(name, ACCEPTABLE) or f"There are: {', '.join(ACCEPTABLE)}."
            raise UsageError(f"'{name}' is no part of a run.", where="--accept-changed", mend=mend)


def check_changes(found: Collection[Change], accepted: Collection[str], where: str) -> None:
    """See that every change was accepted.

    Raises:
        CheckpointError: one was not; says how to accept those that there are.
    """
    if any(change.part not in accepted for change in found):
        flags = " ".join(flags_of(change.part for change in found))
        raise CheckpointError(
            f"it was written by a run with {' and '.join(map(str, found))}.",
            where=where,
            mend=f"Resume with the config that is saved beside it, continue all the same with "
            f"{flags}, or start a new run.",
        )
