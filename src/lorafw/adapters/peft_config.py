"""`adapter_config.json` as PEFT writes it: what lorafw reads of it and what it writes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorafw.errors import AdapterError
from lorafw.types import AdapterSpec, Task

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

CONFIG_FILE = "adapter_config.json"
_HARMLESS = {
    "auto_mapping",
    "base_model_name_or_path",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
}
"""Keys that say nothing of what a finished adapter computes; its tensors name its modules."""
_MOVES_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Starts that change the base's own weights, so that the adapter alone does not give the model."""

_TASK_TYPES = {Task.CAUSAL_LM: "CAUSAL_LM", Task.CLASSIFICATION: "SEQ_CLS"}
"""What PEFT calls the tasks."""

V = TypeVar("V", int, float)


class PeftLoraConfig(BaseModel):
    """The part of PEFT's `LoraConfig` that says what an adapter computes; the rest is `extra`."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)

    peft_type: str
    r: Annotated[int, Field(ge=1)]
    lora_alpha: float
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    use_rslora: bool = False
    bias: Literal["none"] = "none"
    rank_pattern: dict[str, Annotated[int, Field(ge=1)]] | None = None
    alpha_pattern: dict[str, float] | None = None
    init_lora_weights: bool | str | None = True
    modules_to_save: list[str] | None = None

    @property
    def saves_modules(self) -> tuple[str, ...]:
        """Names, or ends of names, of modules that are stored whole beside the adapter."""
        return tuple(self.modules_to_save or ())


def read_config(path: Path) -> PeftLoraConfig:
    """Read and check `adapter_config.json`.

    Raises:
        AdapterError: it is no JSON, lacks a value, or asks for more than LoRA or rsLoRA.
    """
    try:
        config = PeftLoraConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise AdapterError(f"cannot be read: {error.strerror}.", where=str(path)) from None
    except ValidationError as error:
        raise AdapterError(_fault(error), where=str(path)) from None
    _refuse_other_methods(config, path)
    return config


def _fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    return (
        f"{key}: {first['msg']}." if key else f"is not the JSON of a LoRA adapter: {first['msg']}."
    )


def _refuse_other_methods(config: PeftLoraConfig, path: Path) -> None:
    if config.peft_type != "LORA":
        fault = f"peft_type is {config.peft_type!r}; lorafw reads 'LORA'."
        raise AdapterError(fault, where=str(path))
    for key, value in (config.model_extra or {}).items():
        if value and key not in _HARMLESS:
            fault = f"uses {key}, which is neither LoRA nor rsLoRA."
            raise AdapterError(fault, where=str(path), mend="Load it with PEFT.")
    start = str(config.init_lora_weights).lower()
    if start.startswith(_MOVES_THE_BASE):
        raise AdapterError(
            f"init_lora_weights {start!r} changed the base's weights.",
            where=str(path),
            mend="Convert it with PEFT: path_initial_model_for_weight_conversion=…",
        )


def spec_from(
    config: PeftLoraConfig, targets: tuple[str, ...], trained: tuple[str, ...], path: Path
) -> AdapterSpec:
    """The spec of an adapter of these modules, patterns resolved to full names.

    Raises:
        AdapterError: a pattern's key is no regular expression.
    """
    try:
        ranks = resolve_pattern(config.rank_pattern or {}, targets)
        alphas = resolve_pattern(config.alpha_pattern or {}, targets)
    except (re.error, OverflowError, RecursionError) as error:
        raise AdapterError(
            f"a pattern is no regular expression: {error}.", where=str(path)
        ) from None
    return AdapterSpec(
        rank=config.r,
        alpha=config.lora_alpha,
        targets=targets,
        dropout=config.lora_dropout,
        use_rslora=config.use_rslora,
        rank_pattern=ranks,
        alpha_pattern=alphas,
        trained=trained,
    )


def resolve_pattern(pattern: Mapping[str, V], modules: Iterable[str]) -> dict[str, V]:
    """A pattern's values by module, as PEFT resolves them.

    A key is a regular expression that must match the end of a module's name from a dot on; the
    first key that does decides.
    """
    keys = [(re.compile(rf"(.*\.)?({key})$"), value) for key, value in pattern.items()]
    resolved = {}
    for module in modules:
        found = next((value for key, value in keys if key.match(module)), None)
        if found is not None:
            resolved[module] = found
    return resolved


def config_for(
    spec: AdapterSpec,
    *,
    base_path: str | None,
    modules: Collection[str],
    fan_in_fan_out: bool = False,
    task: Task = Task.CAUSAL_LM,
) -> dict[str, Any]:
    """The config from which PEFT rebuilds exactly the modules, ranks and scalings of `spec`."""
    return {
        "alpha_pattern": {k: _plain(v) for k, v in _pattern(spec.alpha_pattern, spec).items()},
        "auto_mapping": None,
        "base_model_name_or_path": base_path,
        "bias": "none",
        "fan_in_fan_out": fan_in_fan_out,
        "inference_mode": True,
        "init_lora_weights": True,
        "layers_pattern": None,
        "layers_to_transform": None,
        "lora_alpha": _plain(spec.alpha),
        "lora_dropout": spec.dropout,
        "modules_to_save": list(spec.trained) or None,
        "peft_type": "LORA",
        "r": spec.rank,
        "rank_pattern": _pattern(spec.rank_pattern, spec),
        "revision": None,
        "target_modules": _selection(spec.targets, modules),
        "task_type": _TASK_TYPES[task],
        "use_dora": False,
        "use_rslora": spec.use_rslora,
    }


def _plain(number: float) -> float:
    """16 rather than 16.0: PEFT's own files hold integers here, and some tools insist on them."""
    return int(number) if float(number).is_integer() else number


def _pattern(values: Mapping[str, V], spec: AdapterSpec) -> dict[str, V]:
    """Full names as keys, escaped and anchored only where PEFT would misread them."""
    wanted = {name: values[name] for name in spec.targets if name in values}
    if all(re.fullmatch(r"[\w.]+", name) for name in wanted) and (
        resolve_pattern(wanted, spec.targets) == wanted
    ):
        return wanted
    return {f"^{re.escape(name)}": value for name, value in wanted.items()}


def _selection(targets: Sequence[str], modules: Collection[str]) -> list[str] | str:
    """The shortest list that selects `targets` and nothing else among a model's `modules`.

    PEFT takes a module when its name is in the list or ends with a dot and an entry.
    """
    for components in (1, 2):
        suffixes = list(dict.fromkeys(".".join(n.split(".")[-components:]) for n in targets))
        if modules and _selected(suffixes, modules) == set(targets):
            return suffixes
    if _selected(targets, modules) <= set(targets):
        return list(targets)
    return "|".join(re.escape(name) for name in targets)


def _selected(entries: Sequence[str], modules: Collection[str]) -> set[str]:
    endings = tuple(f".{entry}" for entry in entries)
    return {name for name in modules if name in entries or name.endswith(endings)}
