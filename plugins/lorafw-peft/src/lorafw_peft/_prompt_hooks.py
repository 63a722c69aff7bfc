"""Hooks on a decoder that give it virtual tokens, and take their rows out of what it returns."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from lorafw.errors import AdapterError
from lorafw.types import Task
from lorafw_peft import _prompt_inputs as inputs
from lorafw_peft._prompt_methods import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from lorafw.contracts import ModelBundle
    from lorafw_peft._prompt_inputs import Call
    from lorafw_peft._prompt_tokens import VirtualTokens


class PromptHooks:
    """Virtual tokens in the first pass over a sequence; later ones find them in the cache.

    Args:
        bundle: the base model; hooks are added to its decoder.
        tokens: the virtual tokens.

    Raises:
        AdapterError: the model has no decoder that transformers knows of.
    """

    def __init__(self, bundle: ModelBundle, tokens: VirtualTokens) -> None:
        self._model: Any = bundle.module
        self._tokens, self._off = tokens, False
        self._cut: int | Tensor = 0
        self._cache_unasked = False
        decoder = _decoder_of(self._model)
        # An encoder's pooling looks at the first row, which is a virtual token's, as it is in PEFT.
        self._cuts = bundle.task is Task.CAUSAL_LM or not _reads_ahead(decoder)
        self._names = tuple(inspect.signature(decoder.forward).parameters)
        self._handles = (
            decoder.register_forward_pre_hook(self._before, with_kwargs=True),
            decoder.register_forward_hook(self._behind),
        )

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """While open, the decoder is called as if there were no hooks."""
        before, self._off = self._off, True
        try:
            yield
        finally:
            self._off = before

    def remove(self) -> None:
        """Take the hooks off for good."""
        for handle in self._handles:
            handle.remove()

    def _before(self, _: Any, args: tuple[Any, ...], named: Call) -> tuple[tuple[()], Call] | None:
        self._cut, self._cache_unasked = 0, False
        if self._off or not self._tokens.count:
            return None
        call = {**dict(zip(self._names, args, strict=False)), **named}
        if inputs.BOUNDARIES in call:
            return (), self._in_segments(call)
        return (), self._with_prefix(call) if self._is_prefix else self._with_prompt(call)

    def _behind(self, _: Any, __: Any, output: Any) -> Any:
        if isinstance(self._cut, int):
            if self._cut and self._cuts:
                output.last_hidden_state = output.last_hidden_state[:, self._cut :]
        else:
            output.last_hidden_state = output.last_hidden_state[:, self._cut]
        if self._cache_unasked:
            # A caller that keeps no cache would take what is returned for one, and go on from it.
            output.past_key_values = None
        return output

    @property
    def _is_prefix(self) -> bool:
        return bool(self._tokens.config.peft_type == PREFIX)

    def _with_prompt(self, call: Call) -> Call:
        if inputs.starts(call):
            self._cut = self._tokens.count
        inputs.check_positions(self._model.config, self._reach(call))
        return inputs.with_prompt(call, self._tokens.shown(), self._model.get_input_embeddings())

    def _in_segments(self, call: Call) -> Call:
        if self._is_prefix:
            raise AdapterError("a prefix cannot be put before segments.", where="plan.layout")
        embed = self._model.get_input_embeddings()
        call, self._cut = inputs.with_prompt_in_segments(call, self._tokens.shown(), embed)
        inputs.check_positions(self._model.config, int(call["max_length_q"]))
        return call

    def _with_prefix(self, call: Call) -> Call:
        config = self._tokens.config
        cache = call.get("past_key_values")
        self._cache_unasked = cache is None and call.get("use_cache") is False
        inputs.check_positions(self._model.config, self._reach(call))
        prefix = self._tokens.values().to(self._model.dtype)
        layers = inputs.key_values(prefix, config.num_layers, config.num_attention_heads)
        return inputs.with_prefix(call, layers, self._model.config)

    def _reach(self, call: Call) -> int:
        """How many positions are taken once the call is through."""
        length = inputs.size_of(call)[1]
        if inputs.starts(call):
            return self._tokens.count + length
        return int(call["past_key_values"].get_seq_length()) + length


def _decoder_of(model: Any) -> Any:
    """What comes before the head; Llama 4's text model gives itself for an answer."""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else None
    if decoder is None:
        raise AdapterError("this model has no decoder that virtual tokens could be put before.")
    return model.model if decoder is model else decoder


@torch.no_grad()
def _reads_ahead(decoder: Any) -> bool:
    """Whether a token's row depends on later tokens, as an encoder's does."""
    ids = torch.tensor([[1, 2, 0], [1, 2, 1]], device=decoder.device)
    rows = decoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    return not torch.allclose(rows[0, 0], rows[1, 0])
