"""Virtual tokens: the parameters they come from, and the values these give."""

from __future__ import annotations

import dataclasses
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from peft import PromptTuningInit
from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING

from lorafw.contracts._adapter_values import named_generator
from lorafw.errors import AdapterError
from lorafw_peft._prompt_choice import Choice
from lorafw_peft._prompt_config import prompt_config
from lorafw_peft._prompt_methods import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from lorafw.contracts import ModelBundle
    from lorafw.types import AdapterSpec

EMBEDDINGS = "prompt_embeddings"
"""What PEFT calls the values of the virtual tokens in its files."""
MODULE = "prompt_encoder"
"""Name, inside the base, of the module that owns the parameters."""


class VirtualTokens:
    """PEFT's encoder of virtual tokens, or the plain table of their values.

    An encoder's values can be written down but not be turned back into an encoder. Where values
    are given, those hold, and what the encoder has learned since is added to them.

    Args:
        bundle: the base model; the encoder becomes a module of it.
        spec: method and options.

    Attributes:
        config: PEFT's config of the method, for this model.
        encoder: PEFT's module, its parameters fp32.
        parameters: what is trained, under canonical names.
        choice: which of them stand before rows; None for all, in their order.
    """

    def __init__(self, bundle: ModelBundle, spec: AdapterSpec) -> None:
        self._bundle = bundle
        self.config = prompt_config(spec.method, spec.options, bundle.module)
        self.encoder = self._fresh(seed=0).to(_embedding_of(bundle).weight.device)
        self.plain = [name for name, _ in self.encoder.named_parameters()] == ["embedding.weight"]
        self.parameters: dict[str, nn.Parameter] = self._named(self.encoder)
        self.choice: Choice | None = None
        self._given: Tensor | None = None
        self._then: Tensor | None = None

    @property
    def count(self) -> int:
        """How many stand before each row."""
        all_of_them: int = self.config.num_virtual_tokens
        return all_of_them if self.choice is None else self.choice.count

    @contextmanager
    def chosen(self, tokens: Tensor, learning: Tensor | None) -> Iterator[None]:
        """While open, these stand before rows; see `AdaptedModel.showing`.

        Raises:
            AdapterError: their values come from an encoder or lie in the cache, or not all exist.
        """
        if not self.plain or self.config.peft_type == PREFIX:
            fault = f"{self.config.peft_type.value} has no virtual tokens that can be chosen from."
            raise AdapterError(fault, where="injector.method", mend="Use prompt_tuning.")
        before = self.choice
        self.choice = Choice.of(tokens, learning, self.config.num_virtual_tokens)
        try:
            yield
        finally:
            self.choice = before

    def shown(self) -> Tensor:
        """Those that stand before rows: fp32 [count, width], or [rows, count, width]."""
        table = self.values()
        return table if self.choice is None else self.choice.from_table(table)

    def values(self) -> Tensor:
        """All virtual tokens: fp32 [tokens, width], for a prefix [tokens, 2·layers·kv width]."""
        count, device = self.config.num_virtual_tokens, self.encoder.embedding.weight.device
        encoded: Tensor = self.encoder(torch.arange(count, device=device)[None])[0]
        if self._given is None or self._then is None:
            return encoded
        return self._given + (encoded - self._then)

    @torch.no_grad()
    def hold(self, given: Tensor) -> None:
        """Let an encoder's tokens have these values from here on, bit for bit.

        Raises:
            AdapterError: they have another shape.
        """
        was_training = self.encoder.training
        self.encoder.eval()
        self._given = self._then = None
        then = self.values()
        self.encoder.train(was_training)
        if given.shape != then.shape:
            have, want = list(given.shape), list(then.shape)
            raise AdapterError(f"{EMBEDDINGS} has shape {have}, the model needs {want}.")
        self._given, self._then = given.detach().to(then), then

    def release(self) -> None:
        """Let the values come from the parameters alone."""
        self._given = self._then = None

    def held(self) -> dict[str, Tensor]:
        """What `hold` keeps, by name, on the CPU; empty if it keeps nothing."""
        if self._given is None or self._then is None:
            return {}
        kept = {f"{EMBEDDINGS}.given": self._given, f"{EMBEDDINGS}.then": self._then}
        return {name: tensor.cpu().clone() for name, tensor in kept.items()}

    def load_held(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what `held` gave.

        Raises:
            AdapterError: it is not of virtual tokens.
        """
        names = {f"{EMBEDDINGS}.given", f"{EMBEDDINGS}.then"}
        if odd := set(tensors) ^ (names if tensors else set()):
            raise AdapterError(f"the checkpoint and the adapter do not agree on {min(odd)}.")
        device = self.encoder.embedding.weight.device
        self._given, self._then = (
            tensors[name].to(device) if tensors else None for name in sorted(names)
        )

    def fresh_values(self, seed: int) -> dict[str, Tensor]:
        """Start values as PEFT draws them, by canonical name; a function of the seed alone."""
        if self._starts_from_text():
            return {EMBEDDINGS: _rows_of_text(self._bundle, self.config)}
        return {name: p.detach() for name, p in self._named(self._fresh(seed)).items()}

    def _named(self, encoder: nn.Module) -> dict[str, nn.Parameter]:
        if self.plain:
            return {EMBEDDINGS: encoder.get_parameter("embedding.weight")}
        return {f"{MODULE}.{name}": p for name, p in encoder.named_parameters()}

    def _starts_from_text(self) -> bool:
        return bool(getattr(self.config, "prompt_tuning_init", None) == PromptTuningInit.TEXT)

    def _fresh(self, seed: int) -> Any:
        """PEFT's module, newly made while torch's generator is seeded."""
        kind: Any = PEFT_TYPE_TO_TUNER_MAPPING[self.config.peft_type]
        # From a text it would start by looking for a tokenizer by name.
        config = _without_text(self.config) if self._starts_from_text() else self.config
        words = (_embedding_of(self._bundle),) if config.peft_type == "PROMPT_TUNING" else ()
        with torch.random.fork_rng(devices=[]):
            seeded = named_generator(str(config.peft_type.value), seed)
            torch.set_rng_state(seeded.get_state())
            return kind(config, *words).float()


def _without_text(config: Any) -> Any:
    return dataclasses.replace(
        config, prompt_tuning_init=PromptTuningInit.RANDOM, tokenizer_name_or_path=None
    )


def _embedding_of(bundle: ModelBundle) -> Any:
    module: Any = bundle.module
    return module.get_input_embeddings()


@torch.no_grad()
def _rows_of_text(bundle: ModelBundle, config: Any) -> Tensor:
    """The embeddings of a text's tokens, repeated or cut to the number of virtual tokens.

    Raises:
        AdapterError: the text has no tokens.
    """
    ids = bundle.tokenizer.encode(config.prompt_tuning_init_text)
    if not ids:
        where = "injector.method_options.prompt_tuning_init_text"
        raise AdapterError("the text has no tokens.", where=where)
    count, embedding = config.num_virtual_tokens, _embedding_of(bundle)
    repeated = (ids * math.ceil(count / len(ids)))[:count]
    rows: Tensor = embedding(torch.tensor(repeated, device=embedding.weight.device))
    return rows.detach().float()
