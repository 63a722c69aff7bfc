"""Options of PEFT's methods, checked against PEFT's own config classes."""

from __future__ import annotations

import dataclasses
import enum
import logging
import typing
from typing import TYPE_CHECKING, Any

from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError

from lorafw.errors import ConfigError, did_you_mean
from lorafw_peft.methods import REFUSED, SET_BY_LORAFW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorafw_peft.injector import PeftInjector

# PEFT imports bitsandbytes where it is installed, which then complains of kernels nobody asked for.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING  # noqa: E402

_WHERE = "injector.method_options"
_SHARED = {
    "r": ("init_r", "r"),
    "alpha": ("lora_alpha", "alpha"),
    "dropout": ("lora_dropout",),
    "use_rslora": ("use_rslora",),
    "use_dora": ("use_dora",),
    "rank_pattern": ("rank_pattern",),
    "alpha_pattern": ("alpha_pattern",),
    "bias": (),
    "init": (),
    "init_rows": (),
    "lora_plus_ratio": (),
}
"""Options of the injector, and what the config of a method may call them."""

_ANY_LENGTH = 10**9
"""AdaLoRA's config wants to know the length of a run before there is one."""


def check_options(injector: PeftInjector) -> None:
    """Check the method and its options as far as they go without a model.

    Raises:
        ConfigError: no such method or option, a value of a wrong type, or PEFT refuses them.
    """
    values = method_options(injector)
    if "feedforward_modules" not in values:  # IA³ compares them to targets, known only later
        peft_config(injector.peft_type, values)


def method_options(injector: PeftInjector) -> dict[str, Any]:
    """The options under PEFT's names, of PEFT's types.

    Raises:
        ConfigError: see `check_options`.
    """
    kind = config_class(injector.method)
    fields = {field.name for field in dataclasses.fields(kind)}
    values = _validated(kind, injector.method_options, fields)
    for option, given in sorted(_set_options(injector).items()):
        name = next((name for name in _SHARED[option] if name in fields), None)
        if name is None:
            raise _not_an_option(injector.method, option)
        if name in values:
            raise ConfigError(f"is the same as injector.{option}.", where=f"{_WHERE}.{name}")
        values[name] = given
    return values


def _set_options(injector: PeftInjector) -> dict[str, Any]:
    """What differs from its default: a resolved config writes every default out."""
    defaults = {
        option: type(injector).model_fields[option].get_default(call_default_factory=True)
        for option in _SHARED
    }
    values = {option: getattr(injector, option) for option in _SHARED}
    return {option: given for option, given in values.items() if given != defaults[option]}


def _not_an_option(method: str, option: str) -> ConfigError:
    return ConfigError(
        f"method {method} has no such option.",
        where=f"injector.{option}",
        mend="What it has goes under injector.method_options.",
    )


def config_class(method: str) -> type[Any]:
    """PEFT's config class of a method.

    Raises:
        ConfigError: PEFT has no such method, or lorafw cannot offer it.
    """
    name, known = method.upper(), {kind.value: kind for kind in PEFT_TYPE_TO_CONFIG_MAPPING}
    if reason := REFUSED.get(name):
        raise ConfigError(f"{method} is not possible: {reason}.", where="injector.method")
    if name not in known:
        offered = sorted(kind.lower() for kind in known.keys() - REFUSED.keys())
        mend = did_you_mean(method.lower(), offered) or f"It has: {', '.join(offered)}."
        raise ConfigError(f"PEFT has no method {method!r}.", where="injector.method", mend=mend)
    found: type[Any] = PEFT_TYPE_TO_CONFIG_MAPPING[known[name]]
    return found


def tuner_class(config: Any) -> type[Any]:
    """The class that puts a method's layers into a model."""
    found: type[Any] = PEFT_TYPE_TO_TUNER_MAPPING[config.peft_type]
    return found


def peft_config(peft_type: str, values: Mapping[str, Any]) -> Any:
    """PEFT's config of a method.

    Raises:
        ConfigError: PEFT refuses the values.
    """
    if peft_type == "ADALORA":
        values = {"total_step": _ANY_LENGTH, **values}
    try:
        return config_class(peft_type)(task_type="CAUSAL_LM", **values)
    except (ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"PEFT says: {error}", where=_WHERE) from error


def json_options(config: Any) -> dict[str, Any]:
    """What a config says beyond which modules it concerns, as JSON values."""
    values = {name: _plain(value) for name, value in config.to_dict().items()}
    own = values.keys() - SET_BY_LORAFW.keys() | {"peft_version"}  # PEFT warns without it
    return {name: value for name, value in values.items() if name in own}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.value if isinstance(value, enum.Enum) else value


def _validated(kind: type[Any], given: Mapping[str, Any], fields: set[str]) -> dict[str, Any]:
    for key in given:
        if instead := SET_BY_LORAFW.get(key):
            raise ConfigError("is set by lorafw.", where=f"{_WHERE}.{key}", mend=instead)
        if key not in fields:
            open_ = sorted(fields - SET_BY_LORAFW.keys())
            mend = did_you_mean(key, open_) or f"It has: {', '.join(open_)}."
            raise ConfigError("unknown option.", where=f"{_WHERE}.{key}", mend=mend)
    hints = typing.get_type_hints(kind)
    return {key: _of_type(hints[key], value, key) for key, value in given.items()}


def _of_type(hint: Any, value: Any, key: str) -> Any:
    """The value as PEFT's annotation wants it; annotations pydantic cannot read check nothing."""
    try:
        adapter = TypeAdapter(hint)
    except PydanticSchemaGenerationError:
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"{first['msg']} (got {value!r}).", where=f"{_WHERE}.{key}") from None
