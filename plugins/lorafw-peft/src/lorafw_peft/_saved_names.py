"""The tensors of a tuned model under the names PEFT saves them by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peft import get_peft_model_state_dict
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "default"
_ROOT = "base_model.model."


class _Saved(nn.Module):
    """A tuner where PEFT's naming expects it: inside a `PeftModel`."""

    def __init__(self, tuner: nn.Module) -> None:
        super().__init__()
        self.base_model = tuner

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("base_model"), name)


def saved_tensors(tuner: nn.Module) -> dict[str, Tensor]:
    """What PEFT would save, by PEFT's names without `base_model.model.`; live, not copied.

    What a method keeps once for the whole model, such as VeRA's projections, keeps its whole name.
    """
    model: Any = _Saved(tuner)
    found = get_peft_model_state_dict(
        model, state_dict=model.state_dict(), adapter_name=NAME, save_embedding_layers=False
    )
    return {name.removeprefix(_ROOT): tensor for name, tensor in found.items()}


def trained_parameters(tuner: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters that want gradients, each under the name it is saved by."""
    names = {_place(tensor): name for name, tensor in saved_tensors(tuner).items()}
    for name, parameter in tuner.named_parameters():
        if parameter.requires_grad:
            own = name.removeprefix("model.").replace(f".{NAME}", "")
            yield names.get(_place(parameter), own), parameter


def _place(tensor: Tensor) -> tuple[int, tuple[int, ...]]:
    return tensor.data_ptr(), tuple(tensor.shape)
