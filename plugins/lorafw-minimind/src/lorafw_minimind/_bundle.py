"""A MiniMind model as a bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from torch import nn

from lorafw.contracts.model import Hidden, LayerForm
from lorafw.models.names import layer_linears
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.types import Capability, Tokenizer
from lorafw_minimind._balance import balance_loss, recorded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from lorafw_minimind._network import MiniMindForCausalLM
    from lorafw_minimind.architecture import Architecture


class MiniMindBundle(TransformersBundle):
    """A frozen MiniMind; its routers' balance loss comes with the hidden rows.

    Args:
        model: the network with its weights, on its device.
        tokenizer: the tokenizer the model was trained with.
        base: content identity of the weights.
        form: what the model is made of.
        targets: `square` for upstream's LoRA targets, or `all-linear`.
        token_rows: see `TransformersBundle`.

    Attributes:
        form: as given.
        square_linears: upstream's LoRA targets.
    """

    def __init__(
        self,
        model: MiniMindForCausalLM,
        tokenizer: Tokenizer,
        *,
        base: str,
        form: Architecture,
        targets: Literal["square", "all-linear"],
        token_rows: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        self.form = form
        self._balance = balance_loss(form)
        super().__init__(model, tokenizer, base=base, token_rows=token_rows)
        self.square_linears = lora_targets(model, "square")
        self.lora_targets = lora_targets(model, targets)
        if self._balance and not self._balance.per_sequence:
            self.capabilities |= {Capability.SPLIT_DEPENDENT}

    def layer_form(self, layer: nn.Module) -> LayerForm | str:
        """The form of a layer; MiniMind's have words of their own for what they are given."""
        form = super().layer_form(layer)
        if isinstance(form, str):
            return form
        return replace(form, tables="tables", mask="mask", cache="cache")

    def hidden(self, inputs: Mapping[str, Tensor]) -> Hidden:
        """The rows before the head, and one balance loss per position if the model has routers."""
        if self._balance is None:
            return super().hidden(inputs)
        with recorded(self.module) as probabilities:
            rows = super().hidden(inputs).rows
        return Hidden(rows, self._balance(probabilities, inputs))


def lora_targets(module: nn.Module, wanted: Literal["square", "all-linear"]) -> tuple[str, ...]:
    """The linears of a fresh model's layers; square ones have as many outputs as inputs."""
    linears = layer_linears(module)
    if wanted == "all-linear":
        return linears
    shapes = {name: module.get_parameter(f"{name}.weight").shape for name in linears}
    return tuple(name for name, (outputs, inputs) in shapes.items() if outputs == inputs)
