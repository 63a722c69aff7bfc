"""`adapter_config.json` of LoRA as PEFT writes it: what lorafw reads of it and what it writes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorafw.adapters.layout.peft_biases import bias_kind
from lorafw.adapters.layout.peft_names import Contents, Part, natural_order
from lorafw.adapters.layout.peft_patterns import (
    resolve_pattern,
    shortest_selection,
    written_pattern,
)
from lorafw.errors import AdapterError
from lorafw.types import AdapterSpec, Task

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

CONFIG_FILE = "adapter_config.json"
_HARMLESS = {
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "fan_in_fan_out",
    "inference_mode",
    "init_lora_weights",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
}
"""Keys that say nothing of what a finished adapter computes; its tensors name its modules."""
_MOVES_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Starts that change the base's own weights, so that the adapter alone does not give the model."""

_NO_TARGETS = "dummy-target-modules"
"""What PEFT takes for an adapter that changes no module, and only saves some whole."""

TASK_TYPES = {Task.CAUSAL_LM: "CAUSAL_LM", Task.CLASSIFICATION: "SEQ_CLS"}
"""What PEFT calls the tasks."""

Rows = list[Annotated[int, Field(ge=0)]]
Names = str | list[str]


class PeftLoraConfig(BaseModel):
    """The part of PEFT's `LoraConfig` that says what an adapter computes; the rest is `extra`."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)

    peft_type: str
    r: Annotated[int, Field(ge=1)]
    lora_alpha: Annotated[float, Field(gt=0)]
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    use_rslora: bool = False
    use_dora: bool = False
    bias: Literal["none", "all", "lora_only"] = "none"
    rank_pattern: dict[str, Annotated[int, Field(ge=1)]] | None = None
    alpha_pattern: dict[str, Annotated[float, Field(gt=0)]] | None = None
    init_lora_weights: bool | str | None = True
    modules_to_save: list[str] | None = None
    trainable_token_indices: Rows | dict[str, Rows] | None = None
    target_parameters: list[str] | None = None
    target_modules: Names | None = None
    exclude_modules: Names | None = None
    layers_to_transform: int | list[int] | None = None
    layers_pattern: Names | None = None

    @property
    def saves_modules(self) -> tuple[str, ...]:
        """Names, or ends of names, of modules that are stored whole beside the adapter."""
        return tuple(self.modules_to_save or ())


def lora_config(values: Mapping[str, Any], path: Path) -> PeftLoraConfig:
    """Check what `adapter_config.json` says of a LoRA adapter.

    Args:
        values: the file's JSON object.
        path: the file, for errors.

    Raises:
        AdapterError: a value is missing or out of range, or it asks for more than lorafw knows.
    """
    try:
        config = PeftLoraConfig.model_validate(values)
    except ValidationError as error:
        mend = "Fetch or export the adapter again."
        raise AdapterError(_fault(error), where=str(path), mend=mend) from None
    for key, value in (config.model_extra or {}).items():
        if value and key not in _HARMLESS:
            fault = f"uses {key}, which lorafw cannot apply."
            mend = "Merge the adapter into its base with PEFT, and load the merged model."
            raise AdapterError(fault, where=str(path), mend=mend)
    _refuse_moved_base(config, path)
    return config


def _fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    return f"{key}: {first['msg']}." if key else f"is no LoRA adapter: {first['msg']}."


def _refuse_moved_base(config: PeftLoraConfig, path: Path) -> None:
    start = str(config.init_lora_weights).lower()
    if start.startswith(_MOVES_THE_BASE):
        raise AdapterError(
            f"init_lora_weights {start!r} changed the base's weights.",
            where=str(path),
            mend="Convert it with PEFT: path_initial_model_for_weight_conversion=…",
        )


def spec_from(config: PeftLoraConfig, contents: Contents, path: Path) -> AdapterSpec:
    """The spec of an adapter with these contents, patterns resolved to full names.

    Raises:
        AdapterError: a pattern's key is no regular expression, or trained rows are not named.
    """
    targets = tuple(sorted(contents.of(Part.FACTOR), key=natural_order))
    factors = contents.modules[Part.FACTOR]
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
        trained=contents.of(Part.WHOLE),
        use_dora=config.use_dora,
        embeddings=tuple(t for t in targets if f"{t}.lora_embedding_A" in factors),
        token_rows=_token_rows(config, contents.of(Part.ROWS), path),
    )


def _token_rows(
    config: PeftLoraConfig, modules: Iterable[str], path: Path
) -> dict[str, tuple[int, ...]]:
    """The numbers of trained rows by module, from a list for the embedding or lists by name.

    A head that is tied to an embedding has no tensor of its own, though the config may name it.
    """
    wanted = config.trainable_token_indices or {}
    by_name = wanted if isinstance(wanted, dict) else {"": wanted}
    found = {
        module: tuple(rows)
        for module in modules
        for key, rows in by_name.items()
        if module.endswith(key)
    }
    if {tuple(rows) for rows in by_name.values()} != set(found.values()):
        fault = "trainable_token_indices names other modules than the tensors do."
        raise AdapterError(fault, where=str(path), mend="Fetch or export the adapter again.")
    return found


def config_for(
    spec: AdapterSpec,
    *,
    base_path: str | None,
    modules: Collection[str],
    fan_in_fan_out: bool = False,
    task: Task = Task.CAUSAL_LM,
) -> dict[str, Any]:
    """The config from which PEFT rebuilds exactly the modules, ranks and scalings of `spec`."""
    alphas = written_pattern(spec.alpha_pattern, spec.targets)
    linears = [name for name in spec.targets if name not in spec.parameters]
    experts = {"target_parameters": list(spec.parameters)} if spec.parameters else {}
    return {
        **experts,
        "alpha_pattern": {name: _plain(alpha) for name, alpha in alphas.items()},
        "auto_mapping": None,
        "base_model_name_or_path": base_path,
        "bias": bias_kind(spec),
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
        "rank_pattern": written_pattern(spec.rank_pattern, spec.targets),
        "revision": None,
        "target_modules": shortest_selection(linears, modules) if spec.targets else _NO_TARGETS,
        "task_type": TASK_TYPES[task],
        "trainable_token_indices": {k: list(rows) for k, rows in spec.token_rows.items()} or None,
        "use_dora": spec.use_dora,
        "use_rslora": spec.use_rslora,
    }


def _plain(number: float) -> float:
    """16 rather than 16.0: PEFT's own files hold integers here, and some tools insist on them."""
    return int(number) if float(number).is_integer() else number
