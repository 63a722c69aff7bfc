"""Any decoder that transformers' `AutoModelForCausalLM` knows, as a bundle."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from lorafw.contracts.model import Hidden, LayerForm, ModelBundle
from lorafw.models import segment_attention
from lorafw.models.blocks import feed_forward_parts, repeated_blocks
from lorafw.models.head import head_form
from lorafw.models.layer_form import layer_form
from lorafw.models.names import layer_linears
from lorafw.models.probes import check_causal, check_head, segments_agree
from lorafw.types import Capability, Task, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_FULL, _SLIDING = "full_attention", "sliding_attention"
_TRIAL = f"{segment_attention.NAME}_trial"


class TransformersBundle(ModelBundle):
    """A causal language model of transformers, frozen, in eval mode.

    Eval mode is what a frozen base needs, so the family's own dropout never acts; an injector
    switches its dropout itself. Routers' balance losses are not computed.

    Args:
        model: a transformers `…ForCausalLM`, its weights loaded, on its device.
        tokenizer: the tokenizer the model was trained with.
        base: content identity of the weights.
        token_rows: rows that start fresh, by the names of embedding and untied head.

    A model on the meta device is not tried: what may take segments is taken to be able to.

    Raises:
        ModelError: the way from hidden rows to logits is not understood, the model is not causal,
            or its logits are not finite.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        *,
        base: str,
        token_rows: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        self.module: nn.Module = model.requires_grad_(False).eval()
        self.tokenizer = tokenizer
        self.task = Task.CAUSAL_LM
        self.base = base
        self.token_rows = token_rows or {}
        self.lora_targets = layer_linears(model)
        self._decoder = _decoder_of(model)
        self._form = head_form(model.config)
        if model.device.type == "meta":
            segments = _expect_segments(model)
        else:
            check_head(self)
            check_causal(self)
            segments = _switch_to_segments(self)
        self.capabilities = frozenset({Capability.SEGMENTS} if segments else ())

    def hidden(self, inputs: Mapping[str, Tensor]) -> Hidden:
        """The rows before the head: [tokens, width] for segments, else [rows, length, width]."""
        ids = inputs["input_ids"]
        if "cu_seqlens" not in inputs:
            mask = inputs["attention_mask"]
            output = self._decoder(input_ids=ids, attention_mask=mask, use_cache=False)
            return Hidden(output.last_hidden_state)
        output = self._decoder(
            input_ids=ids[None],
            position_ids=inputs["position_ids"][None],
            use_cache=False,
            **segment_attention.segment_inputs(inputs["cu_seqlens"]),
        )
        return Hidden(output.last_hidden_state[0])

    def logits(self, rows: Tensor) -> Tensor:
        """The head with the family's scale and soft cap: [..., width] -> [..., vocab]."""
        output: Tensor = self.head(rows)
        return self._form(output)

    @property
    def head_weight(self) -> Tensor | None:
        """The head's weight [vocab, width] if it is one plain frozen linear, tied or not."""
        head = self.head
        if type(head) is not nn.Linear or "bias" in dict(head.named_parameters()):
            return None
        weight: Tensor = head.weight
        return weight if self._form.plain and not weight.requires_grad else None

    @property
    def pad_id(self) -> int:
        """Token id that fills padded rows; one the embedding has, for it is looked up there."""
        pad = super().pad_id
        module: Any = self.module
        return pad if pad < len(module.get_input_embeddings().weight) else 0

    @property
    def head(self) -> Any:
        """The module that makes logits, as it is now: an injector may have put its own there."""
        module: Any = self.module
        return module.get_output_embeddings()

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The layers of the decoder."""
        return repeated_blocks(self._decoder)

    def layer_form(self, layer: nn.Module) -> LayerForm | str:
        """The form of a layer, read from the names of its parts."""
        module: Any = self.module
        return layer_form(layer, module.config)

    @property
    def mlps(self) -> Sequence[nn.Module]:
        """The feed-forward parts of those layers, where they are modules of their own."""
        return feed_forward_parts(self.layers)


def _decoder_of(model: Any) -> Any:
    """What comes before the head; Llama 4's text model gives itself for an answer."""
    decoder = model.get_decoder()
    return model.model if decoder is model else decoder


def _expect_segments(model: Any) -> bool:
    able = may_take_segments(model)
    if able:
        segment_attention.register()
    model.set_attn_implementation(segment_attention.NAME if able else "sdpa")
    return able


def _switch_to_segments(bundle: TransformersBundle) -> bool:
    """Let the model's attention take segments if it can, proved on a few tokens."""
    model: Any = bundle.module
    if not may_take_segments(model):
        return False
    told: list[int | None] = []
    segment_attention.register()
    segment_attention.register(_TRIAL, told)
    model.set_attn_implementation(_TRIAL)
    agree = False
    with contextlib.suppress(TypeError, RuntimeError):  # a layer that does not pass segments on
        agree = segments_agree(bundle)
    able = agree and _as_configured(told, model)
    model.set_attn_implementation(segment_attention.NAME if able else "sdpa")
    return able


def may_take_segments(model: Any) -> bool:
    """Whether every layer looks like causal attention that goes through transformers' interface."""
    config = model.config.get_text_config(decoder=True)
    layers = getattr(config, "layer_types", None) or [_FULL]
    return (
        model._supports_attention_backend  # noqa: SLF001 - transformers has no public name for it
        and not model._is_stateful  # noqa: SLF001
        and model.config._attn_implementation == "sdpa"  # noqa: SLF001
        and set(layers) <= {_FULL, _SLIDING}
        and getattr(config, "attention_chunk_size", None) is None
        and getattr(config, "attn_logit_softcapping", None) is None
    )


def _as_configured(told: list[int | None], model: Any) -> bool:
    """Whether the attention of every layer was told of its window.

    A window that is in the mask alone would be lost with the mask, and rows of a few tokens, which
    fit into every window, would not show it.
    """
    config = model.config.get_text_config(decoder=True)
    window = getattr(config, "sliding_window", None) or None
    layers = getattr(config, "layer_types", None) or [_SLIDING] * config.num_hidden_layers
    expected = [window if layer == _SLIDING else None for layer in layers]
    if set(expected) == {None}:
        return set(told) == {None}
    return told == expected * (len(told) // len(expected))
