"""Which rows of a vocabulary an adapter trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lorafw.contracts.model import ModelBundle

Wanted: TypeAlias = tuple[int | str, ...] | dict[str, tuple[int, ...]]
"""Tokens or their ids, for embedding and head; or row numbers by the module's full name."""

_OPTION = "injector.trainable_tokens"


def chosen_rows(bundle: ModelBundle, wanted: Wanted) -> dict[str, tuple[int, ...]]:
    """Row numbers by the full names of embedding and untied head: those asked for, and fresh ones.

    Raises:
        AdapterError: the tokenizer has no such token.
    """
    if isinstance(wanted, Mapping):
        return _joined(wanted, bundle.token_rows)
    if not wanted:
        return dict(bundle.token_rows)
    from lorafw.models.added_tokens import vocabulary_parts

    ids = tuple(_id_of(token, bundle) for token in wanted)
    return _joined(bundle.token_rows, dict.fromkeys(vocabulary_parts(bundle.module), ids))


def _joined(
    first: Mapping[str, Iterable[int]], second: Mapping[str, Iterable[int]]
) -> dict[str, tuple[int, ...]]:
    """Each row once, in order."""
    return {
        name: tuple(dict.fromkeys((*first.get(name, ()), *second.get(name, ()))))
        for name in dict.fromkeys((*first, *second))
    }


def _id_of(token: int | str, bundle: ModelBundle) -> int:
    if isinstance(token, int):
        return token
    tokenizer: Any = bundle.tokenizer
    number = tokenizer.get_vocab().get(token)
    if number is None:
        mend = "Add it: model.add_tokens."
        raise AdapterError(f"the tokenizer has no token {token!r}.", where=_OPTION, mend=mend)
    return int(number)
