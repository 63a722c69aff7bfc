"""Options of the methods that train virtual tokens, checked against PEFT's config classes."""

from __future__ import annotations

import dataclasses
import enum
import logging
from typing import TYPE_CHECKING, Any, cast

from pydantic import TypeAdapter, ValidationError

from lorafw.errors import AdapterError, ConfigError, did_you_mean
from lorafw_peft._prompt_methods import DEFAULT_TOKENS, PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from lorafw_peft.injector import PeftInjector

# PEFT imports bitsandbytes where it is installed, which then complains of kernels nobody asked for.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

from peft import PeftConfig, PromptTuningInit  # noqa: E402
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING  # noqa: E402
from peft.utils.other import _prepare_prompt_learning_config  # noqa: E402

_WHERE = "injector.method_options"
_GENERAL = {field.name for field in dataclasses.fields(PeftConfig)} | {"modules_to_save"}
_TAKEN = ("method", "method_options", "modules_to_save")
_OF_THE_MODEL = ("token_dim", "num_layers", "num_attention_heads", "num_transformer_submodules")
_OF_THE_TOKENIZER = ("tokenizer_name_or_path", "tokenizer_kwargs")


def check_injector(injector: PeftInjector) -> None:
    """Check all options as far as they go without a model.

    Raises:
        ConfigError: see `checked_config`; or an option of adapters in layers is set.
    """
    for name, field in type(injector).model_fields.items():
        default = field.get_default(call_default_factory=True)
        if name not in _TAKEN and getattr(injector, name) != default:
            raise ConfigError(
                f"method {injector.method} has no such option.",
                where=f"injector.{name}",
                mend="What it has goes under injector.method_options.",
            )
    checked_config(injector.peft_type, injector.method_options)


def prompt_config(method: str, options: Mapping[str, Any], module: nn.Module) -> Any:
    """PEFT's config of a method for one model, its widths and layers filled in.

    Args:
        method: PEFT's name of the method.
        options: the method's; those that belong to any PEFT config are passed over.
        module: the base model.

    Raises:
        ConfigError: see `checked_config`.
        AdapterError: an option speaks of another model's sizes, or these cannot be found out.
    """
    config, model = checked_config(method, options), cast("Any", module)
    sizes = model.config.get_text_config()
    config.num_transformer_submodules = 1
    config.num_layers = getattr(sizes, "num_hidden_layers", None)
    config.num_attention_heads = getattr(sizes, "num_attention_heads", None)
    if method == PREFIX:
        config.token_dim = getattr(sizes, "hidden_size", None)
    else:  # ALBERT's words are narrower than its layers
        config.token_dim = model.get_input_embeddings().weight.shape[-1]
    try:
        _prepare_prompt_learning_config(config, model.config)
    except ValueError as error:
        raise AdapterError(f"{method} does not know this model's sizes: {error}.") from None
    _refuse_other_sizes(options, config)
    return config


def checked_config(method: str, options: Mapping[str, Any]) -> Any:
    """PEFT's config of a method, whatever the model.

    Raises:
        ConfigError: an option is unknown, or its value is not what PEFT takes.
    """
    kind = PEFT_TYPE_TO_CONFIG_MAPPING[method]
    fields = {field.name: field.default for field in dataclasses.fields(kind)}
    given = {key: value for key, value in options.items() if key not in _GENERAL}
    _refuse_unknown(given, fields.keys() - _GENERAL)
    own = {k: v for k, v in given.items() if v is not None and k not in _OF_THE_MODEL}
    return _validated(kind, {"num_virtual_tokens": DEFAULT_TOKENS, **own}, fields)


def config_options(config: Any) -> dict[str, Any]:
    """The method's own fields of a config, as JSON values."""
    values = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name not in _GENERAL
    }
    return {name: v.value if isinstance(v, enum.Enum) else v for name, v in values.items()}


def _refuse_unknown(given: Mapping[str, Any], known: set[str]) -> None:
    for key, value in given.items():
        if key not in known:
            mend = did_you_mean(key, known) or f"It has: {', '.join(sorted(known))}."
            raise ConfigError("unknown option.", where=f"{_WHERE}.{key}", mend=mend)
        if key in _OF_THE_TOKENIZER and value is not None:
            mend = "Leave it out: the text is encoded with the model's own tokenizer."
            raise ConfigError("another tokenizer is not possible.", where=_WHERE, mend=mend)


def _validated(kind: type[Any], values: Mapping[str, Any], defaults: Mapping[str, Any]) -> Any:
    for key, value in values.items():
        if isinstance(default := defaults[key], enum.Enum):
            _refuse_unknown_choice(key, value, type(default))
        elif type(value) in (int, float) and value < (key != "encoder_dropout"):
            raise ConfigError(f"is too small: {value}.", where=f"{_WHERE}.{key}")
    if values.get("prompt_tuning_init") == PromptTuningInit.TEXT:
        # PEFT insists on a name, which is not used: the model's own tokenizer encodes the text.
        values = {**values, "tokenizer_name_or_path": "the model's own"}
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join([_WHERE, *map(str, first["loc"])])
        raise ConfigError(f"{first['msg'].rstrip('.')}.", where=where) from None


def _refuse_unknown_choice(key: str, value: Any, choices: type[enum.Enum]) -> None:
    known = [choice.value for choice in choices]
    if value not in known:
        mend = f"Choose one of: {', '.join(known)}."
        raise ConfigError(f"{value!r} is not known.", where=f"{_WHERE}.{key}", mend=mend)


def _refuse_other_sizes(given: Mapping[str, Any], config: Any) -> None:
    for key in _OF_THE_MODEL:
        if given.get(key) not in (None, getattr(config, key)):
            fault = f"{key} is {given[key]}, this model's is {getattr(config, key)}."
            raise AdapterError(fault, where=_WHERE, mend="Is it an adapter of another model?")
