"""A DeepSpeed config of the user's own: what of it are the trainer's options, and what is left."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lorafw.errors import ConfigError
from lorafw_deepspeed.decided import BLOCKS, OPTIONS, PRECISIONS, RULES, TO_OPTION, Rule

_AUTO = "auto"
"""In Hugging Face's configs: whoever reads this decides."""

Flat: TypeAlias = "dict[str, Any]"
"""Values by dotted key."""


@dataclass(frozen=True, slots=True)
class UserConfig:
    """A file, read.

    Attributes:
        options: the trainer's options that it sets, by the option's name.
        rest: what goes to DeepSpeed as it is.
    """

    options: Mapping[str, Any]
    rest: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path, said: Mapping[str, Any] | None = None) -> UserConfig:
        """Read a file and compare it with what lorafw decides.

        Args:
            path: a JSON file as DeepSpeed and Hugging Face's trainer take it.
            said: options of the trainer that are set elsewhere as well.

        Raises:
            ConfigError: it cannot be read, or some of its keys contradict lorafw; all are named.
        """
        flat = dict(_leaves(parsed(path)))
        options, faults = _options(flat, said or {})
        faults += [fault for rule in RULES for fault in _broken(rule, flat)]
        faults += [f"{key}: it must be a block." for key in BLOCKS if flat.get(key) is not None]
        if faults:
            raise ConfigError(_told(path, faults), where="trainer.config")
        return cls(options, _nested({k: v for k, v in flat.items() if not _is_decided(k)}))


def parsed(path: Path) -> dict[str, Any]:
    """A file as it stands.

    Raises:
        ConfigError: it cannot be read, is no JSON object, or says something twice.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once_each)
    except OSError as error:
        raise _unreadable(path, f"{error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, "it is not UTF-8.") from error
    except json.JSONDecodeError as error:
        raise _unreadable(f"{path}:{error.lineno}", f"{error.msg}.") from error
    except ValueError as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(found, dict):
        raise _unreadable(path, "it does not hold a JSON object.")
    return found


def _unreadable(place: Path | str, what: str) -> ConfigError:
    return ConfigError(f"{place}: {what}", where="trainer.config")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"more than once in a block: {', '.join(twice)}.")
    return dict(pairs)


def _leaves(block: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Values by dotted key; empty blocks say nothing, and neither does 'auto'."""
    for key, value in block.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{key}.")
        elif value != _AUTO:
            yield f"{before}{key}", value


def _nested(flat: Flat) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for dotted, value in flat.items():
        *blocks, key = dotted.split(".")
        inner = result
        for block in blocks:
            inner = inner.setdefault(block, {})
        inner[key] = value
    return result


def _is_under(key: str, outer: str) -> bool:
    return key == outer or key.startswith(f"{outer}.")


def _is_decided(key: str) -> bool:
    ours = [*OPTIONS, *PRECISIONS, *(rule.key for rule in RULES)]
    return any(_is_under(key, outer) for outer in ours)


def _options(flat: Flat, said: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The trainer's options in the file, and where two places give one of them two values."""
    found: dict[str, Any] = {}
    places = {option: f"trainer.{option}" for option in said}
    faults = []
    for key in [key for key in OPTIONS if key in flat]:
        option = OPTIONS[key]
        value = _in_our_words(option, flat[key])
        before = {**said, **found}.get(option, value)
        if before != value:
            other = f"{places[option]} is {json.dumps(before)}"
            faults.append(f"{key} is {json.dumps(flat[key])}: {other}; say it in one place.")
        found[option], places[option] = value, key
    return found, faults


def _in_our_words(option: str, value: Any) -> Any:
    return TO_OPTION.get(option, {}).get(value, value) if isinstance(value, str) else value


def _broken(rule: Rule, flat: Flat) -> Iterator[str]:
    """The rule's fault, if something in the file contradicts it."""
    values = {key: value for key, value in flat.items() if _is_under(key, rule.key)}
    wrong = {key: value for key, value in values.items() if value not in rule.harmless}
    if wrong:
        exact = f" is {json.dumps(wrong[rule.key])}" if rule.key in wrong else ""
        yield f"{rule.key}{exact}: {rule.instead}."


def _told(path: Path, faults: list[str]) -> str:
    several = f"{len(faults)} keys contradict" if len(faults) > 1 else "a key contradicts"
    return f"{path}: {several} what lorafw decides. {listed(faults)}"


def listed(faults: Iterable[str]) -> str:
    """Sentences, numbered, on one line."""
    return " ".join(f"({number}) {fault}" for number, fault in enumerate(faults, 1))
