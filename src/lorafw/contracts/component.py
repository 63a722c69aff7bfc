"""Base of every part: a frozen set of options that builds itself from a mapping."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from lorafw.errors import ConfigError, did_you_mean


class Options(BaseModel):
    """Named, typed, described options; unknown names are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any], *, where: str) -> Self:
        """Build from plain values.

        Args:
            options: option names and values, as read from YAML.
            where: config section named in errors, such as `trainer`.

        Raises:
            ConfigError: an option is unknown, missing, of a wrong type or out of range.
        """
        try:
            return cls.model_validate(dict(options))
        except ValidationError as error:
            raise cls._explain(error, where) from None

    @classmethod
    def _explain(cls, error: ValidationError, where: str) -> ConfigError:
        first = error.errors(include_url=False)[0]
        key = ".".join([where, *(str(part) for part in first["loc"])])
        if first["type"] == "extra_forbidden":
            name = str(first["loc"][-1])
            known = ", ".join(cls.model_fields) or "none"
            mend = did_you_mean(name, cls.model_fields) or f"Known: {known}."
            return ConfigError("unknown option.", where=key, mend=mend)
        if first["type"] == "missing":
            return ConfigError("is required.", where=key, mend=f"Set it: -o {key}=…")
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # about several options, which the message names
            return ConfigError(f"{message}.", where=key)
        return ConfigError(f"{message} (got {first['input']!r}).", where=key)


class Component(Options):
    """A part that can be chosen by name: its fields are its options, its docstring its help.

    Subclasses stay importable without torch; what is heavy is imported inside methods.
    """

    @classmethod
    def describe(cls) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(cls) or "").partition("\n")[0]

    def preflight(self) -> None:
        """Check what can be checked without torch, before anything heavy starts.

        Raises:
            LorafwError: a file is missing, a value cannot work on this machine, and the like.
        """
