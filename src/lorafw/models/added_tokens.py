"""Tokens that a user adds to a vocabulary, and rows for them where the model has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lorafw.errors import ModelError
from lorafw.types import ADDED_TOKENS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.types import Tokenizer

_OPTION = "model.add_tokens"


def is_special(token: str) -> bool:
    """Whether an added token becomes a special one, which answers are shown without: `<|…|>`."""
    return token.startswith("<|") and token.endswith("|>")


def extend(tokenizer: Tokenizer, tokens: Sequence[str]) -> None:
    """Teach a tokenizer tokens, in order, that it keeps whole wherever they stand.

    They are found in the text as it is given, before any normalisation such as lower-casing.

    Raises:
        ModelError: it knows one already, or does not keep one whole.
    """
    from transformers import AddedToken

    words: Any = tokenizer
    known = words.get_vocab()
    for token in tokens:
        if token in known:
            mend = "Leave it out there; injector.trainable_tokens trains rows of known tokens."
            fault = f"the tokenizer knows {token!r} already, as id {known[token]}."
            raise ModelError(fault, where=_OPTION, mend=mend)
    for token in tokens:
        special = is_special(token)
        added = AddedToken(token, special=special, normalized=False)
        words.add_tokens([added], special_tokens=special)
    # Saved with it, so that what reads special tokens as plain text can tell these apart.
    words.init_kwargs[ADDED_TOKENS] = [*words.init_kwargs.get(ADDED_TOKENS, ()), *tokens]
    _check_whole(words, tokens)


def _check_whole(tokenizer: Any, tokens: Sequence[str]) -> None:
    for token, number in zip(tokens, added_ids(tokenizer, tokens), strict=True):
        alone = tokenizer.encode(token, add_special_tokens=False, split_special_tokens=False)
        if number not in alone or tokenizer.convert_ids_to_tokens(number) != token:
            fault = f"this tokenizer, a {type(tokenizer).__name__}, does not keep {token!r} whole."
            raise ModelError(fault, where=_OPTION, mend="Write it in another way.")


def added_ids(tokenizer: Tokenizer, tokens: Sequence[str]) -> tuple[int, ...]:
    """The ids of added tokens, in the order in which they were added."""
    words: Any = tokenizer
    return tuple(int(words.convert_tokens_to_ids(token)) for token in tokens)


def make_room(
    model: Any, tokenizer: Tokenizer, tokens: Sequence[str]
) -> dict[str, tuple[int, ...]]:
    """Give every added token a row in a model's embedding and, where it is untied, in its head.

    Rows that the checkpoint has to spare keep their values. Further ones are the mean of all rows
    before them, formed in fp32 and rounded once; nothing is drawn.

    Args:
        model: a transformers model; changed in place, its config's `vocab_size` too.
        tokenizer: after `extend`.
        tokens: as given to `extend`.

    Returns:
        Row numbers by the full names of embedding and untied head; empty without tokens.

    Raises:
        ModelError: the model's embedding or head is of a kind that cannot be grown.
    """
    if not tokens:
        return {}
    ids = added_ids(tokenizer, tokens)
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if max(ids) >= embedding.num_embeddings:
        _check_growable(model, embedding, head)
        _grow(embedding, head, max(ids) + 1)
        model.config.get_text_config().vocab_size = max(ids) + 1
        if hasattr(model, "vocab_size"):
            model.vocab_size = max(ids) + 1
    return dict.fromkeys(vocabulary_parts(model), ids)


def vocabulary_parts(model: Any) -> tuple[str, ...]:
    """The full names of a model's embedding and, where it is there and not tied, of its head."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = head is None or head.weight is embedding.weight
    return tuple(_name_of(model, part) for part in ((embedding,) if tied else (embedding, head)))


def _check_growable(model: Any, embedding: Any, head: Any) -> None:
    rows = embedding.num_embeddings
    others = (part for part in model.modules() if isinstance(part, nn.Embedding))
    alone = all(part is embedding or part.num_embeddings != rows for part in others)
    if not isinstance(embedding, nn.Embedding) or not alone or not _is_plain(head, rows):
        family = model.config.model_type
        fault = f"lorafw cannot grow the vocabulary of a {family!r}, and it has only {rows} rows."
        raise ModelError(fault, where=_OPTION)


def _is_plain(head: Any, rows: int) -> bool:
    return head is None or (type(head) is nn.Linear and head.out_features == rows)


def _grow(embedding: nn.Embedding, head: nn.Linear | None, rows: int) -> None:
    tied = head is not None and head.weight is embedding.weight
    embedding.weight = _grown(embedding.weight, rows)
    embedding.num_embeddings = rows
    if head is None:
        return
    head.weight = embedding.weight if tied else _grown(head.weight, rows)
    head.out_features = rows
    if head.bias is not None:
        head.bias = _grown(head.bias, rows)


def _grown(parameter: Tensor, rows: int) -> nn.Parameter:
    """With further rows, each the mean of the present ones."""
    values = parameter.detach()
    mean = values.float().mean(0, keepdim=True).to(values.dtype)
    further = mean.expand(rows - len(values), *mean.shape[1:])
    return nn.Parameter(torch.cat([values, further]), requires_grad=parameter.requires_grad)


def _name_of(model: nn.Module, wanted: nn.Module) -> str:
    return next(str(name) for name, part in model.named_modules() if part is wanted)
