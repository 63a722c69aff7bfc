"""Numeric checks of a freshly loaded model: what it claims is tried on a few tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lorafw.errors import ModelError

if TYPE_CHECKING:
    from lorafw.contracts.model import Hidden, ModelBundle

_LENGTH = 8


@torch.no_grad()
def check_head(bundle: ModelBundle) -> None:
    """Compare `logits(hidden(x))` with the logits of the model's own forward pass.

    Raises:
        ModelError: they differ, so a loss would be wrong; or the weights give no finite numbers.
    """
    model: Any = bundle.module
    tokens = _tokens(model, _LENGTH)
    own = model(input_ids=tokens[None], use_cache=False).logits
    if not own.isfinite().all():
        mend = "Are the files damaged, or is the dtype too narrow? Try dtype: fp32."
        raise ModelError("the model's logits are not finite.", mend=mend)
    if not _agree(bundle.logits(_padded(bundle, tokens).rows), own, model):
        family = model.config.model_type
        mend = "It needs a model plugin of its own."
        raise ModelError(f"lorafw does not know how '{family}' makes its logits.", mend=mend)


@torch.no_grad()
def check_causal(bundle: ModelBundle) -> None:
    """Change the last token and see that no earlier row notices.

    Raises:
        ModelError: the model looks ahead, so next-token training would teach it to copy.
    """
    tokens = _tokens(bundle.module, _LENGTH)
    other = torch.cat([tokens[:-1], tokens[:1]])
    rows, others = (_padded(bundle, ids).rows[0, :-1] for ids in (tokens, other))
    if not _agree(others, rows, bundle.module):
        mend = "Choose a decoder; an encoder such as BERT cannot be trained on the next token."
        raise ModelError("the model sees later tokens.", mend=mend)


@torch.no_grad()
def segments_agree(bundle: ModelBundle) -> bool:
    """Whether two rows laid end to end give what each gives alone, and know nothing of each other.

    That the second row is blind to the first is checked apart: it is exact in every dtype, while
    the comparison with a row alone allows for rounding.
    """
    tokens = _tokens(bundle.module, 2 * _LENGTH + 3)
    first, second = tokens[:_LENGTH], tokens[_LENGTH:]
    together = _end_to_end(bundle, first, second)
    alone = torch.cat([_end_to_end(bundle, first), _end_to_end(bundle, second)])
    other = _end_to_end(bundle, first.flip(0), second)
    leak = (other[_LENGTH:] - together[_LENGTH:]).abs().max()
    blind = bool(leak <= 1e-6 * together.abs().max())
    return blind and _agree(together, alone, bundle.module)


def _padded(bundle: ModelBundle, tokens: Tensor) -> Hidden:
    ids = tokens[None]
    return bundle.hidden({"input_ids": ids, "attention_mask": torch.ones_like(ids)})


def _end_to_end(bundle: ModelBundle, *rows: Tensor) -> Tensor:
    lengths = torch.tensor([0, *(len(row) for row in rows)])
    inputs = {
        "input_ids": torch.cat(rows),
        "position_ids": torch.cat([torch.arange(len(row), device=row.device) for row in rows]),
        "cu_seqlens": lengths.cumsum(0).to(rows[0].device, torch.int32),
    }
    return bundle.hidden(inputs).rows


def _tokens(model: Any, count: int) -> Tensor:
    embeddings = model.get_input_embeddings()
    ids = torch.arange(1, count + 1, device=embeddings.weight.device) * 7919
    return ids.remainder(embeddings.num_embeddings)


def _agree(have: Tensor, want: Tensor, model: Any) -> bool:
    exact = have.dtype in {torch.float32, torch.float64}
    # Quantised layers round their inputs too, so a last bit of difference can become a step.
    tolerance = 1e-4 if exact and not getattr(model, "is_quantized", False) else 3e-2
    scale = want.float().abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    return bool((have.float() - want.float()).abs().max() <= tolerance * scale)
