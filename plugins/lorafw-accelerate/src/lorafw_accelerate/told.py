"""What Accelerate was told elsewhere: in its config file, and by the variables of its launcher."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lorafw.errors import ConfigError, did_you_mean

_ENVIRONMENT = "environment"
_TRUE = {"1", "true"}
_VARIABLES = {
    "ACCELERATE_MIXED_PRECISION": "mixed_precision",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "gradient_accumulation_steps",
    "ACCELERATE_DYNAMO_BACKEND": "dynamo_backend",
    "ACCELERATE_USE_CPU": "use_cpu",
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "fsdp_transformer_layer_cls_to_wrap",
}
_KINDS = {
    "ACCELERATE_USE_DEEPSPEED": "DEEPSPEED",
    "ACCELERATE_USE_MEGATRON_LM": "MEGATRON_LM",
    "ACCELERATE_USE_FSDP": "FSDP",
}
_NO_MATTER = {
    "fsdp_backward_prefetch",
    "fsdp_cpu_ram_efficient_loading",
    "fsdp_forward_prefetch",
    "fsdp_min_num_params",
    "fsdp_sharding_strategy",
    "fsdp_state_dict_type",
    "fsdp_sync_module_states",
    "fsdp_use_orig_params",
}
"""Of FSDP's first version, or about how weights are read and checkpoints written."""
_MUST_BE: Mapping[str, tuple[str, str]] = {
    "mixed_precision": ("no", "Adapters train in fp32; the dtype of the base is model.dtype."),
    "gradient_accumulation_steps": ("1", "plan.global_batch_size says how many rows a step has."),
    "dynamo_backend": ("no", "Nothing is compiled."),
    "fsdp_version": ("2", "`accelerate to-fsdp2` rewrites a file."),
    "fsdp_auto_wrap_policy": ("transformer_based_wrap", "Weights are gathered layer by layer."),
    "fsdp_activation_checkpointing": ("false", "Set plan.activations: checkpoint."),
    "fsdp_activation_checkpointing_offload": ("false", "Nothing of it is offered here."),
    "fsdp_ignored_modules": ("none", "Every module is shared among the ranks."),
    "parallelism_config": ("{}", "Ranks share rows and weights, and nothing else."),
    "fp8_config": ("{}", "Nothing is computed in fp8."),
}
_OPTIONS = {
    "fsdp_reshard_after_forward": "reshard_after_forward",
    "fsdp_offload_params": "cpu_offload",
}
_LAYERS = "fsdp_transformer_layer_cls_to_wrap"


@dataclass(frozen=True, slots=True)
class Told:
    """What one source says.

    Attributes:
        place: the file, or the environment.
        values: by Accelerate's key in a config file.
        names: how the source calls a key, where it calls it otherwise.
    """

    place: str
    values: Mapping[str, Any]
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def shards(self) -> bool:
        """Whether it asks for FSDP."""
        return str(self.values.get("distributed_type")).upper() == "FSDP"

    @property
    def layers(self) -> tuple[str, ...]:
        """The classes of what is gathered together; empty if it does not say."""
        told = (self.shards and self.values.get(_LAYERS)) or ""
        names = told if isinstance(told, list) else str(told).split(",")
        return tuple(filter(None, (str(name).strip() for name in names)))

    def options(self) -> Iterator[tuple[str, bool, str]]:
        """The trainer's options that it sets too: name, value, and how it says so."""
        if self.shards:
            yield "fsdp", True, self._said("distributed_type")
            for key, option in _OPTIONS.items():
                if key in self.values:
                    yield option, _text(self.values[key]) == "true", self._said(key)

    def conflicts(self) -> Iterator[str]:
        """What cannot be had, one sentence or two for each."""
        yield from self._of_its_kind()
        for key, (wanted, reason) in _MUST_BE.items():
            bare = {"false"} if wanted == "no" else set()  # what YAML makes of a no without quotes
            if key in self.values and _text(self.values[key]) not in {wanted, "none", *bare}:
                yield f"{self._said(key)}; write {wanted}. {reason}"
        reshards = "fsdp_reshard_after_forward"
        if _text(self.values.get(reshards, True)) not in {"true", "false"}:
            yield f"{self._said(reshards)}; FSDP2 takes true or false."
        known = {*_MUST_BE, *_OPTIONS, *_NO_MATTER, _LAYERS}
        for key in sorted(key for key in self.values if key.startswith("fsdp_")):
            if key not in known:
                yield f"{self.names.get(key, key)} is unknown. {did_you_mean(key, known)}".strip()

    def conflicts_with(self, *, ranks: int, on_cpu: bool) -> Iterator[str]:
        """What does not fit the processes there are."""
        wanted = int(self.values.get("num_processes") or -1)
        if wanted not in {-1, ranks}:
            yield f"{self._said('num_processes')}, started are {ranks}; use --nproc {wanted}."
        if _text(self.values.get("use_cpu")) == "true" and not on_cpu:
            yield f"{self._said('use_cpu')}; hide the GPUs: CUDA_VISIBLE_DEVICES=''."

    def _of_its_kind(self) -> Iterator[str]:
        kind = str(self.values.get("distributed_type", "NO")).upper()
        if kind == "DEEPSPEED":
            yield f"{self._said('distributed_type')}; choose that trainer: trainer.use=deepspeed."
        elif kind not in {"NO", "FALSE", "MULTI_CPU", "MULTI_GPU", "FSDP"}:
            yield f"{self._said('distributed_type')}; lorafw does not train that way."

    def _said(self, key: str) -> str:
        return f"{self.names.get(key, key)} is {self.values[key]}"


def read_file(name: str) -> Told:
    """What a config file says, read by Accelerate itself.

    Args:
        name: its path, or `default` for where `accelerate config` puts it.

    Raises:
        ConfigError: there is no such file, or Accelerate cannot read it.
    """
    from accelerate.commands.config import config_args

    path = config_args.default_config_file if name == "default" else name
    mend = "`accelerate config --config_file FILE` writes one."
    if not Path(path).is_file():
        raise ConfigError(f"there is no file {path}.", where="trainer.config_file", mend=mend)
    try:
        config = config_args.load_config_from_file(path)
    except AttributeError:
        raise ConfigError("it holds no keys with values.", where=path, mend=mend) from None
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        fault = " ".join(str(error).split()).rstrip(".")
        raise ConfigError(f"Accelerate cannot read it: {fault}.", where=path, mend=mend) from None
    values = config.to_dict()
    _refuse_other_kinds(path, values)
    sharing = values.pop("fsdp_config", None) if values["distributed_type"] == "FSDP" else None
    return Told(path, {**values, **(values.get("dynamo_config") or {}), **_versioned(sharing)})


def _refuse_other_kinds(path: str, values: Mapping[str, Any]) -> None:
    """See that what Accelerate reads without a look has a kind that can be worked with.

    Raises:
        ConfigError: it has not.
    """
    for key in ("fsdp_config", "dynamo_config"):
        if not isinstance(values.get(key) or {}, Mapping):
            raise ConfigError(f"{key} is {values[key]}; it must be a block.", where=path)
    ranks = values.get("num_processes")
    if not isinstance(ranks, int | None):
        raise ConfigError(f"num_processes is {ranks}; it must be a whole number.", where=path)


def read_environment(variables: Mapping[str, str] = os.environ) -> Told:
    """What `accelerate launch` left for the processes it started."""
    names = {key: name for name, key in _VARIABLES.items() if name in variables}
    kind = next((k for name, k in _KINDS.items() if _text(variables.get(name)) in _TRUE), "")
    if kind == "FSDP":
        sharing = (name for name in variables if name.startswith("FSDP_"))
        names |= {name.lower(): name for name in sharing if name not in _VARIABLES}
    values: dict[str, Any] = {key: variables[name] for key, name in names.items()}
    if kind:
        values["distributed_type"] = kind
        names["distributed_type"] = "the launcher's distributed_type"
    return Told(_ENVIRONMENT, _versioned(values) if kind == "FSDP" else values, names)


def _versioned(sharing: Mapping[str, Any] | None) -> dict[str, Any]:
    """The version of FSDP that Accelerate takes where none is named."""
    return {} if sharing is None else {"fsdp_version": 1, **sharing}


def _text(value: object) -> str:
    return str(value).lower()
