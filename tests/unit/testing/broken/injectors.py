"""Injectors with one fault each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from lorafw.contracts import AdaptedModel, ModelBundle
from lorafw.testing.toy_injector import ToyInjector
from lorafw.types import AdapterState

if TYPE_CHECKING:
    from torch import Tensor


class Spoiling(ToyInjector):
    """Injects as the toy injector does, then spoils the handle."""

    breaks: ClassVar[tuple[str, ...]] = ()

    def inject(self, bundle: ModelBundle) -> AdaptedModel:
        model = super().inject(bundle)
        self.spoil(model)
        return model

    def spoil(self, model: Any) -> None:
        pass


class Unscaled(Spoiling):
    """Merges without the scaling."""

    breaks = ("the merged model computes what the adapted one does",)

    def spoil(self, model: Any) -> None:
        plain = model.merged_state

        def merged_state() -> Iterator[tuple[str, Tensor]]:
            scales = [layer.scaling for layer in model._layers.values()]
            for layer in model._layers.values():
                layer.scaling = 1.0
            yield from list(plain())
            for layer, scaling in zip(model._layers.values(), scales, strict=True):
                layer.scaling = scaling

        model.merged_state = merged_state


class Prejudiced(Spoiling):
    """Starts with an adapter that acts."""

    breaks = ("a fresh adapter changes nothing",)

    def spoil(self, model: Any) -> None:
        model.load_state({name: p.detach() + 0.01 for name, p in model.trainable().items()})


class Thawing(Spoiling):
    """Leaves a weight of the base trainable."""

    breaks = ("only the adapter wants gradients",)

    def spoil(self, model: Any) -> None:
        model.bundle.module.lm_head.weight.requires_grad_()


class Narrow(Spoiling):
    """Trains in the dtype of the base."""

    breaks = ("trainable parameters are fp32 on any base",)

    def spoil(self, model: Any) -> None:
        dtype = model.bundle.module.lm_head.weight.dtype
        for parameter in model.trainable().values():
            parameter.data = parameter.data.to(dtype)


class Partial(Spoiling):
    """Forgets one of the modules it says it adapts."""

    breaks = (
        "only the adapter wants gradients",
        "names are canonical and each target is adapted once",
        "the merged model computes what the adapted one does",
        "every other injector takes the state",
        "plain peft loads the written adapter",
    )

    def spoil(self, model: Any) -> None:
        model._layers.popitem()


class Stacking(Spoiling):
    """Lets itself be injected again and again."""

    breaks = ("a second adapter is refused",)

    def inject(self, bundle: Any) -> AdaptedModel:
        if not hasattr(bundle, "adapted"):
            bundle.adapted = super().inject(bundle)
        adapted: AdaptedModel = bundle.adapted
        return adapted


class Forgetful(Spoiling):
    """Loads A and forgets B."""

    breaks = (
        "state reset and load state come full circle",
        "disabled is the base bit for bit",
        "gradients reach every a and b",
    )

    def spoil(self, model: Any) -> None:
        plain = model.load_state

        def load_state(tensors: Mapping[str, Tensor]) -> None:
            own = model.state().tensors
            plain({n: own[n] if n.endswith("B.weight") else t for n, t in tensors.items()})

        model.load_state = load_state


class Replacing(Spoiling):
    """Puts new parameters in the place of those an optimizer holds."""

    breaks = ("loading and resetting keep the parameters",)

    def spoil(self, model: Any) -> None:
        from torch import nn

        plain = model.load_state

        def load_state(tensors: Mapping[str, Tensor]) -> None:
            for layer in model._layers.values():
                layer.lora_A = nn.Parameter(layer.lora_A.detach().clone())
            plain(tensors)

        model.load_state = load_state


class Unseeded(Spoiling):
    """Draws start values from the global generator."""

    breaks = ("reset is a function of the seed alone",)

    def spoil(self, model: Any) -> None:
        import torch

        plain = model.reset

        def reset(seed: int) -> None:
            plain(seed)
            first = next(iter(model.trainable().values()))
            torch.nn.init.normal_(first)

        model.reset = reset


class Stubborn(Spoiling):
    """Cannot be switched off."""

    breaks = ("disabled is the base bit for bit",)

    def spoil(self, model: Any) -> None:
        def disabled() -> AbstractContextManager[None]:
            return nullcontext()

        model.disabled = disabled


class Detached(Spoiling):
    """Lets no gradient into A."""

    breaks = ("gradients reach every a and b",)

    def spoil(self, model: Any) -> None:
        import torch

        for name, parameter in model.trainable().items():
            if name.endswith("lora_A.weight"):
                parameter.register_hook(torch.zeros_like)


class Moody(Spoiling):
    """Computes something else each time, so recomputing in the backward pass goes wrong."""

    breaks = (
        "activation checkpointing changes no gradient",
        "state reset and load state come full circle",
        "disabled is the base bit for bit",
        "the merged model computes what the adapted one does",
        "every other injector takes the state",
        "plain peft loads the written adapter",
    )

    def spoil(self, model: Any) -> None:
        for layer in model._layers.values():
            layer.register_forward_pre_hook(_rescale)


def _rescale(layer: Any, _inputs: Any) -> None:
    layer.scaling *= 1.01


class Coarse(Spoiling):
    """Rounds to eight bits on a bf16 base."""

    breaks = (
        "a bf16 base computes nearly what an fp32 one does",
        "the merged model computes what the adapted one does",
    )

    def spoil(self, model: Any) -> None:
        for layer in model._layers.values():
            layer.register_forward_hook(_coarse)


def _coarse(_layer: Any, _inputs: Any, output: Tensor) -> Tensor:
    import torch

    if output.dtype != torch.bfloat16:
        return output
    return output + (output.detach().to(torch.float8_e5m2).to(output.dtype) - output.detach())


class Boasting(Spoiling):
    """Exports another alpha than it computes with."""

    breaks = (
        "an injector of its kind takes the state",
        "every other injector takes the state",
        "plain peft loads the written adapter",
    )

    def spoil(self, model: Any) -> None:
        plain = model.state
        spec = replace(model.spec, alpha=model.spec.alpha * 2)
        model.state = lambda: AdapterState(spec, plain().tensors)
        model.spec = spec


class Misjudging(Spoiling):
    """Gives a learning rate to what is not trained."""

    breaks = ("learning rate scales are of trainable parameters",)

    def spoil(self, model: Any) -> None:
        model.learning_rate_scales = lambda: {"lm_head.weight": 2.0}


class Idle(Spoiling):
    """Adds to the loss what no parameter can change."""

    breaks = ("a penalty is an fp32 number with a gradient",)

    def spoil(self, model: Any) -> None:
        import torch

        model.penalty = lambda: torch.tensor(1.0)


class Absentminded(Spoiling):
    """Has a state that checkpoints keep, and does not go on from it."""

    breaks = ("another process goes on from values and training state",)

    def spoil(self, model: Any) -> None:
        import torch

        statistics = torch.rand(3)
        model.training_state = lambda: {"statistics": statistics}
        model.load_training_state = lambda _tensors: None


class Capricious(Spoiling):
    """Lets the global random numbers say where it starts, not the rows it asked for."""

    breaks = ("rows and values alone decide where it starts",)

    def spoil(self, model: Any) -> None:
        def start_from(_batches: object, _objective: object) -> None:
            name, first = next(iter(model.trainable().items()))
            values = {n: p.detach() for n, p in model.trainable().items()}
            model.load_state({**values, name: first.detach().new_empty(first.shape).uniform_()})

        model.start_rows, model.start_from = 8, start_from


class Leaping(Spoiling):
    """Starts from rows with an adapter that acts."""

    breaks = ("a start from rows changes nothing",)

    def spoil(self, model: Any) -> None:
        def start_from(batches: Any, _objective: object) -> None:
            shift = float(batches[0].labels.float().mean()) / 100
            model.load_state({n: p.detach() + shift for n, p in model.trainable().items()})

        model.start_rows, model.start_from = 8, start_from
