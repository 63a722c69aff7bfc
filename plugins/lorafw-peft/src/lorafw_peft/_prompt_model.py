"""A base model with virtual tokens before every sequence."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from lorafw.adapters.live.targets import refuse_adapted, saved_modules
from lorafw.adapters.live.trained_parts import TrainedParts
from lorafw.adapters.live.untying import untie
from lorafw.contracts import AdaptedModel
from lorafw.contracts._adapter_values import copy_values
from lorafw.errors import AdapterError
from lorafw.types import AdapterSpec, AdapterState
from lorafw_peft._prompt_config import config_options
from lorafw_peft._prompt_hooks import PromptHooks
from lorafw_peft._prompt_methods import finished_options
from lorafw_peft._prompt_tokens import EMBEDDINGS, MODULE, VirtualTokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from lorafw.contracts import ModelBundle
    from lorafw_peft.injector import PeftInjector


class PromptedModel(AdaptedModel):
    """The bundle's module with virtual tokens: prompt tuning, prefix tuning or P-tuning.

    The base stays as it is; hooks on its decoder put the virtual tokens in, and take out again
    what it computes for them.

    Args:
        bundle: the base model.
        spec: `method` and `options` as PEFT calls them, and the modules trained whole.

    Raises:
        AdapterError: the options are wrong, the model carries an adapter already, or its decoder
            cannot take virtual tokens.
    """

    def __init__(self, bundle: ModelBundle, spec: AdapterSpec) -> None:
        _refuse(bundle, spec)
        untie(bundle.module, spec)
        self.bundle = bundle
        self._tokens = VirtualTokens(bundle, spec)
        self.spec = replace(spec, options=config_options(self._tokens.config))
        bundle.module.add_module(MODULE, self._tokens.encoder)
        self._hooks = PromptHooks(bundle, self._tokens)
        self.train(mode=False)
        self._check_effect()
        self._trained = TrainedParts(bundle.module, spec)
        self._parameters = self._tokens.parameters | self._trained.parameters
        self.reset(seed=0)

    def trainable(self) -> Mapping[str, nn.Parameter]:
        """`prompt_embeddings`, or the parameters of its encoder; then those of trained modules."""
        return self._parameters

    def base_values(self) -> Mapping[str, Tensor]:
        """What the trained modules are in the base."""
        return self._trained.base_values()

    def train(self, mode: bool) -> None:
        """Switch the dropout of P-tuning's encoder; the base stays in eval."""
        self._tokens.encoder.train(mode)

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """While open, there are no virtual tokens and trained modules are the base's."""
        with self._hooks.disabled(), self._trained.disabled():
            yield

    @contextmanager
    def showing(self, tokens: Tensor, *, learning: Tensor | None = None) -> Iterator[None]:
        """While open, these virtual tokens stand before rows; those of a table alone can be chosen.

        Raises:
            AdapterError: the method's come from an encoder or lie in the cache, or not all exist.
        """
        before = self.spec
        with self._tokens.chosen(tokens, learning):
            told = {"num_virtual_tokens": self._tokens.count}
            self.spec = replace(before, options={**before.options, **told})
            try:
                yield
            finally:
                self.spec = before

    def merged_state(self) -> Iterator[tuple[str, Tensor]]:
        """Nothing: there is no weight that virtual tokens could be folded into.

        Raises:
            AdapterError: always.
        """
        fault = f"{self.spec.method} adds tokens, which cannot be merged into weights."
        raise AdapterError(fault, mend="Export the adapter.")

    @torch.no_grad()
    def state(self) -> AdapterState:
        """What PEFT saves: the values of the virtual tokens, not what they are encoded from.

        Raises:
            AdapterError: each row is shown others, or none are.
        """
        self._check_saved()
        was_training = self._tokens.encoder.training
        self.train(mode=False)
        live = {EMBEDDINGS: self._tokens.shown()} | self._trained.parameters
        self.train(was_training)
        tensors = {name: t.detach().float().cpu().clone() for name, t in live.items()}
        options = finished_options(self.spec.method, self.spec.options)
        return AdapterState(replace(self.spec, options=options), tensors)

    def _check_saved(self) -> None:
        choice = self._tokens.choice
        if choice is not None and not (choice.is_common and choice.count):
            fault = "a file holds virtual tokens that stand before every row, and here are none."
            raise AdapterError(fault, mend="Show some to all rows alike.")

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Write values into the live parameters, or give the virtual tokens the values of a file.

        Raises:
            AdapterError: a name is missing or too many, or a shape differs.
        """
        if self._tokens.plain or EMBEDDINGS not in tensors:
            copy_values(self._parameters, tensors)
            self._tokens.release()
            return
        given = dict(tensors)
        embeddings = given.pop(EMBEDDINGS)
        copy_values(self._trained.parameters, given)
        self._tokens.hold(embeddings)

    def training_state(self) -> Mapping[str, Tensor]:
        """The values that an encoder's tokens were given, which what it learns is added to."""
        return self._tokens.held()

    def load_training_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what `training_state` gave."""
        self._tokens.load_held(tensors)

    def reset(self, seed: int) -> None:
        """Fresh virtual tokens, drawn as PEFT does, a function of the seed; modules of the base."""
        self.load_state({**self._tokens.fresh_values(seed), **self.base_values()})

    def _check_effect(self) -> None:
        """Run a few tokens behind the virtual ones, and see that these have a say.

        Raises:
            AdapterError: the model fails, or they have none.
        """
        method, mend = self.spec.method, "Use method: lora."
        try:
            has_effect = self._has_effect()
        except (TypeError, ValueError, RuntimeError, LookupError, AttributeError) as error:
            self._remove()
            fault = f"{method} does not work with this model: {error}"
            raise AdapterError(fault, mend=mend) from error
        except AdapterError:
            self._remove()
            raise
        if not has_effect:
            self._remove()
            raise AdapterError(f"{method} has no effect on this model.", mend=mend)

    @torch.enable_grad()
    def _has_effect(self) -> bool:
        """Whether a gradient reaches the parameters; a shift of positions alone would not do."""
        device = self._tokens.encoder.embedding.weight.device
        ids = torch.tensor([[1, 2, 0], [0, 1, 1]], device=device)
        rows = self.bundle.hidden({"input_ids": ids, "attention_mask": torch.ones_like(ids)}).rows
        if not rows.requires_grad:
            return False
        # Norms keep sums and squares as they are, so every number has a weight of its own.
        weights = torch.linspace(-1, 1, rows.numel(), device=device).view_as(rows)
        last = list(self._tokens.parameters.values())[-1]
        loss = (rows.float() * weights).sum()
        found: tuple[Tensor | None, ...] = torch.autograd.grad(loss, last, allow_unused=True)
        return found[0] is not None and bool(found[0].any())

    def _remove(self) -> None:
        self._hooks.remove()
        delattr(self.bundle.module, MODULE)


def prompted_model(bundle: ModelBundle, injector: PeftInjector) -> PromptedModel:
    """Adapt the bundle's module in place as the injector's options say.

    Raises:
        AdapterError: see `PromptedModel`; or nothing matches an entry of `modules_to_save`.
    """
    saved = saved_modules(bundle, injector.modules_to_save, ())
    spec = AdapterSpec(
        rank=1,
        alpha=1.0,
        targets=(),
        trained=(*bundle.head_modules, *saved),
        token_rows=dict(bundle.token_rows),
        method=injector.peft_type,
        options=injector.method_options,
    )
    return PromptedModel(bundle, spec)


def _refuse(bundle: ModelBundle, spec: AdapterSpec) -> None:
    refuse_adapted(bundle.module)
    if spec.token_rows:
        fault = f"{spec.method} cannot train the rows of added tokens beside it."
        raise AdapterError(fault, mend="Use method: lora, or leave model.add_tokens out.")
