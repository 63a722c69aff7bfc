"""Any `…ForSequenceClassification` of transformers, as a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lorafw.contracts.model import Hidden, ModelBundle
from lorafw.errors import ModelError
from lorafw.models.blocks import feed_forward_parts, repeated_blocks
from lorafw.models.names import layer_linears
from lorafw.types import Capability, Task, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ClassifierBundle(ModelBundle):
    """A text classifier of transformers, frozen, in eval mode; it takes padded rows only.

    The family's own forward pass goes the whole way to the scores: pooling and heads differ too
    much to be taken apart. A head's inputs are cast to its dtype, so an fp32 head serves any base.

    Args:
        model: a transformers `…ForSequenceClassification`, its weights loaded, on its device.
        tokenizer: the tokenizer the model was trained with.
        base: content identity of the weights.
        head_modules: names of the modules of its head, and of others that start fresh.
        token_rows: rows of its embedding that start fresh.

    Raises:
        ModelError: scores are not finite or depend on padding, or the model tells a second text by
            other marks than lorafw knows.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        *,
        base: str,
        head_modules: tuple[str, ...],
        token_rows: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        self.module: nn.Module = model.requires_grad_(False).eval()
        self.tokenizer = tokenizer
        self.task = Task.CLASSIFICATION
        self.base = base
        self.labels = tuple(str(label) for _, label in sorted(model.config.id2label.items()))
        self.head_modules, self.token_rows = head_modules, token_rows or {}
        inside = tuple(f"{name}." for name in head_modules)
        self.lora_targets = tuple(n for n in layer_linears(model) if not n.startswith(inside))
        self.capabilities: frozenset[Capability] = frozenset()
        model.config.pad_token_id = self.pad_id  # decoders find a row's last token by it
        for name in head_modules:
            model.get_submodule(name).register_forward_pre_hook(_in_own_dtype)
        self._separator = _separator(tokenizer, model.config)
        if model.device.type != "meta":  # there are no numbers to try it with
            _check_padding(self)

    def hidden(self, inputs: Mapping[str, Tensor]) -> Hidden:
        """The scores of the classes: [rows, classes]."""
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        which = {} if self._separator is None else {"token_type_ids": self._which_text(ids, mask)}
        output: Any = self.module(input_ids=ids, attention_mask=mask, **which)
        return Hidden(output.logits)

    def logits(self, rows: Tensor) -> Tensor:
        """The scores as they are."""
        return rows

    @property
    def head_weight(self) -> Tensor | None:
        """None: the way to the scores is the family's own."""
        return None

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The layers of encoder or decoder."""
        return repeated_blocks(self.module)

    @property
    def mlps(self) -> Sequence[nn.Module]:
        """The feed-forward parts of those layers, where they are modules of their own."""
        return feed_forward_parts(self.layers)

    @property
    def pad_id(self) -> int:
        """Token id that fills padded rows; one the embedding has, for it is looked up there."""
        pad = super().pad_id
        module: Any = self.module
        return pad if pad < module.get_input_embeddings().num_embeddings else 0

    def _which_text(self, ids: Tensor, mask: Tensor) -> Tensor:
        """0 for tokens of the first text, its separator among them; 1 for those behind it."""
        marks = ids.eq(self._separator or 0).long()
        return (marks.cumsum(-1) - marks).clamp(max=1) * mask


def _in_own_dtype(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    dtype = next(module.parameters()).dtype
    return tuple(
        each.to(dtype) if isinstance(each, Tensor) and each.is_floating_point() else each
        for each in inputs
    )


def _separator(tokenizer: Any, config: Any) -> int | None:
    """The token id after which a second text begins; None if the model marks no texts.

    Raises:
        ModelError: the tokenizer marks the texts otherwise than by this token.
    """
    if getattr(config, "type_vocab_size", 0) < 2:
        return None
    told = tokenizer("a", "a", return_token_type_ids=True)
    ids, separator = told["input_ids"], tokenizer.sep_token_id
    first = ids.index(separator) + 1 if separator in ids else 0
    if told["token_type_ids"] != [0] * first + [1] * (len(ids) - first):
        family = config.model_type
        mend = "It needs a model plugin of its own."
        raise ModelError(f"lorafw does not know how '{family}' marks a second text.", mend=mend)
    return int(separator)


@torch.no_grad()
def _check_padding(bundle: ClassifierBundle) -> None:
    """Score a row alone and beside a longer one.

    Raises:
        ModelError: the scores differ, or are not finite.
    """
    model: Any = bundle.module
    words = model.get_input_embeddings().num_embeddings
    known = [i * 7919 % words for i in range(1, 12)]
    row = torch.tensor([[i for i in known if i != bundle.pad_id]], device=model.device)
    short, mask = row.clone(), torch.ones_like(row)
    short[:, 5:], mask[:, 5:] = bundle.pad_id, 0
    both = {
        "input_ids": torch.cat([short, row]),
        "attention_mask": torch.cat([mask, torch.ones_like(row)]),
    }
    alone = {"input_ids": short[:, :5], "attention_mask": mask[:, :5]}
    beside, own = (bundle.hidden(inputs).rows[0].float() for inputs in (both, alone))
    if not own.isfinite().all():
        mend = "Are the files damaged, or is the dtype too narrow? Try dtype: fp32."
        raise ModelError("the model's scores are not finite.", mend=mend)
    exact = model.dtype is torch.float32 and not getattr(model, "is_quantized", False)
    near = 1e-4 if exact else 5e-2
    if (beside - own).abs().max() > near * own.abs().max().clamp(min=1.0):
        raise ModelError(f"padding changes what '{model.config.model_type}' computes.")
