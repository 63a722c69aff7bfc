"""The engine of `accelerate` with FSDP2: every rank holds a piece of every parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import FullyShardedDataParallelPlugin, fsdp2_prepare_model
from torch import Tensor, nn

from lorafw.contracts import EngineJob, StepOutcome, TrainingState, World
from lorafw.errors import ConfigError
from lorafw.training.unhooked import without_hooks_of
from lorafw.types import Batch
from lorafw_accelerate._engine import AccelerateEngine
from lorafw_accelerate._shards import Shards
from lorafw_accelerate._start import start_accelerate, unswayed
from lorafw_accelerate.sharding import Sharding


class ShardedEngine(AccelerateEngine):
    """The optimizer works on this rank's pieces, number by number.

    It is core's own, over core's own parameter objects: they hold the pieces.
    """

    lockstep = True
    gradient_hooks = False  # FSDP2 puts others in place of core's parameters

    def __init__(self, job: EngineJob, world: World, sharding: Sharding) -> None:
        accelerator = start_accelerate(world, _plugin(job, world, sharding))
        self._shards = Shards(job.module, lambda module: fsdp2_prepare_model(accelerator, module))
        for parameter, held in job.optimizer.state.items():  # some remember from the start
            held.update({key: self._cut(parameter, value) for key, value in held.items()})
        super().__init__(job, world, accelerator, job.module)

    def forward(self, batch: Batch, totals: Mapping[str, float] | None) -> Tensor:
        """The wrapped module's result; nothing stays whole that no backward pass will drop."""
        result = super().forward(batch, totals)
        if not torch.is_grad_enabled():
            self._shards.settle()
        return result

    def gradients(self) -> dict[str, Tensor]:
        """Whole gradients, gathered from all ranks."""
        pieces = {name: self._shards.gradient(p) for name, p in self._parameters.items()}
        return {
            name: self._whole(self._parameters[name], piece).detach().clone()
            for name, piece in pieces.items()
            if piece is not None
        }

    @torch.no_grad()
    def set_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        """Write this rank's pieces of them."""
        for name, parameter in self._parameters.items():
            piece = self._shards.gradient(parameter)
            if piece is not None:
                piece.copy_(self._shards.piece(parameter, gradients[name]))

    def step(self, *, learning_rate: float) -> StepOutcome:
        """Clip by the global norm, update this rank's pieces, zero."""
        self._shards.hand_over_gradients(list(self._parameters.values()))
        return super().step(learning_rate=learning_rate)

    def _clip(self) -> Tensor:
        """The norm is summed where ranks can speak: offloaded gradients lie beside NCCL's reach."""
        parameters = list(self._parameters.values())
        own = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        norm = self.all_reduce_sum(own.to(self.world.device).square()).sqrt()
        if self._job.max_grad_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, self._job.max_grad_norm, norm)
        return norm

    def discard(self) -> None:
        """Drop the gradients, and what is left of a pass that failed."""
        self._shards.drop_gradients()

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        held = super()._state_of(parameter)
        return {
            key: self._whole(parameter, t).cpu() if t.shape == parameter.shape else t
            for key, t in held.items()
        }

    def _whole(self, parameter: nn.Parameter, piece: Tensor) -> Tensor:
        return self._shards.whole(parameter, piece, self.world.device)

    def load_state(self, state: TrainingState) -> None:
        """Write this rank's pieces of values and of what the optimizer remembers."""
        pieces = {
            name: {key: self._shards.piece(parameter, t) for key, t in state[name].items()}
            for name, parameter in self._parameters.items()
        }
        super().load_state(pieces)

    def _cut(self, parameter: Any, value: object) -> object:
        if not isinstance(value, Tensor):
            return value
        return self._shards.piece(parameter, value).to(parameter.device, copy=True)

    @contextmanager
    def full_parameters(self) -> Iterator[None]:
        """Gather everything; a `close` meanwhile leaves it whole."""
        hooks = without_hooks_of(self._job.module, "torch.distributed")
        with self._shards.gathered(), torch.no_grad(), hooks:
            yield

    def close(self) -> None:
        """Remove FSDP2 from the module, which keeps what this rank holds of its parameters."""
        super().close()
        self._shards.close()


def _plugin(job: EngineJob, world: World, sharding: Sharding) -> FullyShardedDataParallelPlugin:
    layers = list(sharding.layers) or sorted({type(layer).__name__ for layer in job.layers})
    there = {type(module).__name__ for module in job.module.modules()}
    if missing := sorted(set(layers) - there):
        raise ConfigError(
            f"this model has no {', '.join(missing)}, which fsdp_transformer_layer_cls_to_wrap "
            "names.",
            where="trainer.config_file",
            mend="Leave the key out: lorafw knows the model's layers.",
        )
    with unswayed():
        return FullyShardedDataParallelPlugin(
            fsdp_version=2,
            reshard_after_forward=sharding.reshard_after_forward,
            cpu_offload=sharding.cpu_offload and world.device.type != "cpu",
            auto_wrap_policy="transformer_based_wrap" if layers else "no_wrap",
            transformer_cls_names_to_wrap=layers or None,
            cpu_ram_efficient_loading=False,  # every rank has read the weights already
            activation_checkpointing=False,  # plan.activations does it
        )
