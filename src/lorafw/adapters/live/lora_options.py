"""The options of LoRA, the same for every injector that makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self, TypeVar

from pydantic import Field, model_validator

from lorafw.adapters.live.bias_choice import chosen_biases
from lorafw.adapters.live.layer_choice import check_layer_choice
from lorafw.adapters.live.row_choice import Wanted, chosen_rows
from lorafw.contracts.injector import LoRAInjector
from lorafw.errors import AdapterError, ConfigError
from lorafw.types import AdapterSpec, Capability

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import nn

    from lorafw.contracts.model import ModelBundle

V = TypeVar("V", int, float)


class LoRAOptions(LoRAInjector):
    """LoRA with options that every injector shares; a subclass adds `inject`."""

    r: int = Field(8, ge=1, description="Rank of the update.")
    alpha: float = Field(16.0, gt=0, description="The update is scaled by alpha / r.")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Chance that an input of the update is dropped in training."
    )
    target_modules: str | tuple[str, ...] = Field(
        "all-linear",
        description="all-linear, square (as many features out as in), names or suffixes such as "
        "[q_proj, mlp.up_proj], or one regular expression that matches full names.",
    )
    use_rslora: bool = Field(
        default=False, description="Scale by alpha / sqrt(r) instead (arXiv:2312.03732)."
    )
    rank_pattern: dict[str, int] = Field(
        default_factory=dict,
        description="Other ranks for some modules, by name, suffix or group: attention, mlp, "
        "experts.",
    )
    alpha_pattern: dict[str, float] = Field(
        default_factory=dict,
        description="Other alphas for some modules, by name, suffix or group: attention, mlp, "
        "experts.",
    )

    use_dora: bool = Field(
        default=False,
        description="Learn the length of each output's weight row apart (DoRA, arXiv:2402.09353).",
    )
    exclude_modules: tuple[str, ...] = Field(
        (), description="Names or suffixes of modules that target_modules would take but must not."
    )
    layers_to_transform: tuple[int, ...] | None = Field(
        None, description="Adapt only layers of these numbers, from 0; null for all."
    )
    top_layers: int | None = Field(
        None, ge=1, description="Adapt only so many of the last layers; null for all."
    )
    prefix_cache: bool = Field(
        default=False,
        description="Compute what enters the lowest adapted layer in the first epoch only, and "
        "keep it on disk; needs plan.composition: fixed.",
    )
    modules_to_save: tuple[str, ...] = Field(
        (), description="Names or suffixes of modules that are trained whole and saved as well."
    )
    trainable_tokens: Wanted = Field(
        (),
        description="Tokens, or their ids, whose rows in embedding and head are trained and saved "
        "as well.",
    )
    bias: Literal["none", "lora_only", "all"] | tuple[str, ...] = Field(
        "none",
        description="Biases of the base that are trained and saved as well: none, lora_only (of "
        "adapted modules), all, or names or suffixes of modules.",
    )
    lora_plus_ratio: float = Field(
        1.0,
        gt=0,
        description="B learns this many times as fast as A (LoRA+, arXiv:2402.12354).",
    )

    @model_validator(mode="after")
    def _layers_are_chosen_once(self) -> Self:
        check_layer_choice(self)
        return self

    @property
    def caches_prefix(self) -> bool:
        """The option `prefix_cache`."""
        return self.prefix_cache

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All that plain LoRA can do; dropout makes the update depend on the split."""
        always = {
            Capability.IDENTITY_START,
            Capability.MERGEABLE,
            Capability.SEGMENTS,
            Capability.DISABLE,
            Capability.SHARDABLE,
        }
        return frozenset(always | ({Capability.SPLIT_DEPENDENT} if self.dropout > 0 else set()))

    @property
    def ranks(self) -> frozenset[int]:
        """Those of all patterns, and the one of what no pattern names; DoRA's are not plain."""
        return frozenset() if self.use_dora else frozenset({self.r, *self.rank_pattern.values()})

    def spec(self, bundle: ModelBundle) -> AdapterSpec:
        """What these options mean for one base model.

        Raises:
            AdapterError: see `select_targets`; or a pattern's key matches no adapted module.
        """
        from lorafw.adapters.live.targets import (
            embeddings_among,
            parameters_among,
            saved_modules,
            select_targets,
        )

        module = bundle.module
        targets = select_targets(
            bundle,
            self.target_modules,
            exclude=self.exclude_modules,
            layers=self.layers_to_transform,
            top=self.top_layers,
        )
        trained = *bundle.head_modules, *saved_modules(bundle, self.modules_to_save, targets)
        parameters = parameters_among(module, targets)
        self._check_experts(module, parameters)
        return AdapterSpec(
            rank=self.r,
            alpha=self.alpha,
            targets=targets,
            dropout=self.dropout,
            use_rslora=self.use_rslora,
            rank_pattern=_by_module(self.rank_pattern, module, targets, "rank_pattern"),
            alpha_pattern=_by_module(self.alpha_pattern, module, targets, "alpha_pattern"),
            trained=trained,
            use_dora=self.use_dora,
            embeddings=embeddings_among(module, targets),
            token_rows=chosen_rows(bundle, self.trainable_tokens),
            parameters=parameters,
            biases=chosen_biases(bundle, self.bias, targets, trained),
        )

    def _check_experts(self, module: nn.Module, parameters: Sequence[str]) -> None:
        """What no injector can do, and PEFT could not read, where one tensor holds the experts."""
        given = {"dropout": self.dropout > 0, "use_dora": self.use_dora}
        if not parameters:
            return
        if option := next((name for name, on in given.items() if on), None):
            fault = f"cannot be used on experts that are one tensor, {parameters[0]}."
            raise AdapterError(fault, where=f"injector.{option}", mend="Leave one of them out.")
        if getattr(module, "is_quantized", False):
            fault = f"the base is quantised; {parameters[0]} cannot be adapted."
            mend = "Leave the experts out, or load the base without model.quantize."
            raise AdapterError(fault, where="injector.target_modules", mend=mend)

    def for_spec(self, spec: AdapterSpec) -> Self:
        """These options replaced by those that give `spec`, module for module.

        Raises:
            AdapterError: the spec's values are out of range, or it adapts nothing.
        """
        if not spec.targets:
            fault = "it adapts no module: all it has is trained whole."
            raise AdapterError(fault, mend="Use injector 'full'.")
        options = {
            "r": spec.rank,
            "alpha": spec.alpha,
            "dropout": spec.dropout,
            "target_modules": spec.targets,
            "exclude_modules": (),
            "layers_to_transform": None,
            "top_layers": None,
            "prefix_cache": False,
            "modules_to_save": spec.trained,
            "trainable_tokens": dict(spec.token_rows),
            "bias": spec.biases or "none",
            "use_rslora": spec.use_rslora,
            "use_dora": spec.use_dora,
            "rank_pattern": dict(spec.rank_pattern),
            "alpha_pattern": dict(spec.alpha_pattern),
        }
        try:
            return self.from_mapping({**self.model_dump(), **options}, where="adapter")
        except ConfigError as error:
            raise AdapterError(error.what, where=error.where, mend=error.mend) from None


def _by_module(
    pattern: Mapping[str, V], module: nn.Module, targets: Sequence[str], option: str
) -> dict[str, V]:
    """A pattern's values by full module name: full names decide first, then suffixes, groups."""
    resolved: dict[str, V] = {}
    for key, value in pattern.items():
        if value <= 0:
            raise AdapterError(f"must be above 0, not {value}.", where=f"injector.{option}.{key}")
    matches = _matches(pattern, module, targets)
    for key, names in matches.items():
        if not names:
            raise AdapterError("matches no adapted module.", where=f"injector.{option}.{key}")
        for name in names:
            resolved.setdefault(name, pattern[key])
    return resolved


def _matches(
    keys: Iterable[str], module: nn.Module, targets: Sequence[str]
) -> dict[str, list[str]]:
    """The targets each key means, the keys that decide first in front."""
    from lorafw.adapters.live.module_groups import GROUPS, groups_of
    from lorafw.adapters.live.targets import has_suffix

    exact = {key: [key] for key in keys if key in targets}
    ends = {key: [n for n in targets if has_suffix(n, key)] for key in keys if key not in exact}
    found = exact | {key: names for key, names in ends.items() if names}
    for group in sorted(ends.keys() - found.keys() & set(GROUPS), key=GROUPS.index):
        found[group] = [name for name in targets if group in groups_of(module, name)]
    return found | {key: [] for key in ends.keys() - found.keys()}
