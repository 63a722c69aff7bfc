"""AdaLoRA: singular triplets of the update, given up one by one (arXiv:2303.10512)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from peft.tuners.adalora.layer import RankAllocator

from lorafw.errors import ConfigError
from lorafw_peft._saved_names import NAME
from lorafw_peft._tuned import TunedModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from lorafw.contracts import ModelBundle
    from lorafw.types import AdapterSpec

_AVERAGES = ("exp_avg_ipt", "exp_avg_unc")
_MASK = "mask"


class AdaLoRAModel(TunedModel):
    """A model whose triplets compete for a budget that shrinks while it is trained."""

    def __init__(self, bundle: ModelBundle, spec: AdapterSpec, config: Any) -> None:
        if config.target_r >= config.init_r:
            fault = f"target_r ({config.target_r}) must be below init_r ({config.init_r})."
            raise ConfigError(fault, where="injector.method_options")
        self.wants_gradients = not config.rank_pattern  # else its ranks are decided already
        super().__init__(bundle, spec, config)
        self._allocator = _Allocator(bundle.module, config, NAME)
        tuner: Any = self._tuner
        tuner.rankallocator = self._allocator
        self._names = {id(p): name for name, p in self.trainable().items()}

    def penalty(self) -> Tensor:
        """How far A and B are from orthonormal: the paper's equation 4, as PEFT weighs it."""
        factors = [p if ".lora_A" in n else p.T for n, p in self._own.items() if ".lora_E" not in n]
        norms = [(f @ f.T - torch.eye(len(f), device=f.device)).norm() for f in factors]
        weight: float = self.config.orth_reg_weight
        return weight * torch.stack(norms).mean()

    def prepare_steps(self, steps: int, *, tokens: int) -> None:  # noqa: ARG002 - of the contract
        """Fit the budget's schedule into the run.

        Raises:
            ConfigError: the run is too short for it.
        """
        if steps - self.config.tfinal < max(2, self.config.tinit + 1):
            raise ConfigError(
                f"{steps} steps are too few for tinit {self.config.tinit} and tfinal "
                f"{self.config.tfinal}.",
                where="injector.method_options",
                mend="Lower these, or train longer.",
            )
        self.config.total_step = steps

    def before_step(self, step: int, gradients: Mapping[str, Tensor]) -> None:  # noqa: ARG002
        """Keep the gradients: importance is that of the parameters after the step."""
        named = self.bundle.module.named_parameters()
        owned = ((name, self._names.get(id(parameter))) for name, parameter in named)
        self._allocator.gradients = {
            name: gradients[own].detach().clone() for name, own in owned if own in self._own
        }

    def after_step(self, step: int) -> None:
        """Update importances and give up triplets; counted from 1, the budget is met at the end."""
        if not self.wants_gradients:
            return
        tuner: Any = self._tuner
        tuner.update_and_allocate(step + 1)
        self._allocator.gradients = {}

    def training_state(self) -> Mapping[str, Tensor]:
        """The averages of importance and which triplets are left."""
        found = {
            f"{kind}/{name}": tensor.cpu().clone()
            for kind in _AVERAGES
            for name, tensor in getattr(self._allocator, kind).items()
        }
        pattern = self.config.rank_pattern or {}
        masks = {f"{_MASK}/{name}": torch.tensor(kept) for name, kept in pattern.items()}
        return {**super().training_state(), **found, **masks}

    def load_training_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue with the same importances and the same triplets."""
        self._restart()
        device = next(iter(self._own.values())).device
        rest: dict[str, Tensor] = {}
        masks: dict[str, list[bool]] = {}
        for label, tensor in tensors.items():
            kind, _, name = label.partition("/")
            if kind == _MASK:
                masks[name] = tensor.tolist()
            elif kind in _AVERAGES:
                getattr(self._allocator, kind)[name] = tensor.to(device)
            else:
                rest[label] = tensor
        self.config.rank_pattern = masks or self.config.rank_pattern
        super().load_training_state(rest)

    def _restart(self) -> None:
        if self.wants_gradients:
            self.config.rank_pattern = None
            self._allocator.reset_ipt()


class _Allocator(RankAllocator):  # type: ignore[misc]
    """PEFT's allocator, reading the gradients an engine hands out instead of `Parameter.grad`."""

    gradients: Mapping[str, Tensor] = {}

    @torch.no_grad()
    def update_ipt(self, model: Any) -> None:
        """Average sensitivity |p · ∂L/∂p| and its uncertainty (equations 8 to 10)."""
        for name, parameter in model.named_parameters():
            if name not in self.gradients:
                continue
            value = (parameter * self.gradients[name]).abs()
            zero = torch.zeros_like(value)
            smooth = self.exp_avg_ipt.get(name, zero).lerp(value, 1 - self.beta1)
            doubt = self.exp_avg_unc.get(name, zero).lerp((value - smooth).abs(), 1 - self.beta2)
            self.ipt[name], self.exp_avg_ipt[name], self.exp_avg_unc[name] = value, smooth, doubt
