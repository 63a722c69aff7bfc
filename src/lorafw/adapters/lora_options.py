"""The options of LoRA, the same for every injector that makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from pydantic import Field

from lorafw.contracts.injector import LoRAInjector
from lorafw.errors import AdapterError, ConfigError
from lorafw.types import AdapterSpec, Capability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        description="all-linear, names or suffixes such as [q_proj, mlp.up_proj], or one regular "
        "expression that matches full names.",
    )
    use_rslora: bool = Field(
        default=False, description="Scale by alpha / sqrt(r) instead (arXiv:2312.03732)."
    )
    rank_pattern: dict[str, int] = Field(
        default_factory=dict, description="Other ranks for some modules, by name or suffix."
    )
    alpha_pattern: dict[str, float] = Field(
        default_factory=dict, description="Other alphas for some modules, by name or suffix."
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
    modules_to_save: tuple[str, ...] = Field(
        (), description="Names or suffixes of modules that are trained whole and saved as well."
    )
    lora_plus_ratio: float = Field(
        1.0,
        gt=0,
        description="B learns this many times as fast as A (LoRA+, arXiv:2402.12354).",
    )

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

    def spec(self, bundle: ModelBundle) -> AdapterSpec:
        """What these options mean for one base model.

        Raises:
            AdapterError: see `select_targets`; or a pattern's key matches no adapted module.
        """
        from lorafw.adapters.targets import saved_modules, select_targets

        targets = select_targets(
            bundle,
            self.target_modules,
            exclude=self.exclude_modules,
            layers=self.layers_to_transform,
        )
        return AdapterSpec(
            rank=self.r,
            alpha=self.alpha,
            targets=targets,
            dropout=self.dropout,
            use_rslora=self.use_rslora,
            rank_pattern=_by_module(self.rank_pattern, targets, "rank_pattern"),
            alpha_pattern=_by_module(self.alpha_pattern, targets, "alpha_pattern"),
            trained=(*bundle.head_modules, *saved_modules(bundle, self.modules_to_save, targets)),
            use_dora=self.use_dora,
            token_rows=dict(bundle.token_rows),
        )

    def for_spec(self, spec: AdapterSpec) -> Self:
        """These options replaced by those that give `spec`, module for module.

        Raises:
            AdapterError: the spec's values are out of range.
        """
        options = {
            "r": spec.rank,
            "alpha": spec.alpha,
            "dropout": spec.dropout,
            "target_modules": spec.targets,
            "exclude_modules": (),
            "layers_to_transform": None,
            "modules_to_save": spec.trained,
            "use_rslora": spec.use_rslora,
            "use_dora": spec.use_dora,
            "rank_pattern": dict(spec.rank_pattern),
            "alpha_pattern": dict(spec.alpha_pattern),
        }
        try:
            return self.from_mapping({**self.model_dump(), **options}, where="adapter")
        except ConfigError as error:
            raise AdapterError(error.what, where=error.where, mend=error.mend) from None


def _by_module(pattern: Mapping[str, V], targets: Sequence[str], option: str) -> dict[str, V]:
    """A pattern's values by full module name; a full name goes before any suffix."""
    from lorafw.adapters.targets import has_suffix

    resolved: dict[str, V] = {}
    for key, value in pattern.items():
        if value <= 0:
            raise AdapterError(f"must be above 0, not {value}.", where=f"injector.{option}.{key}")
        matching = [name for name in targets if has_suffix(name, key)]
        if not matching:
            raise AdapterError("matches no adapted module.", where=f"injector.{option}.{key}")
        for name in matching:
            if name == key or name not in pattern:
                resolved.setdefault(name, value)
    return resolved
