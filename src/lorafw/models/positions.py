"""How long a row a model has positions for."""

from __future__ import annotations

from typing import Any

_BEHIND_PADDING = ("camembert", "data2vec-text", "ibert", "longformer", "mpnet")


def learned_positions(config: Any) -> int | None:
    """Tokens that fit into a table of learned positions; None for models that compute them.

    RoBERTa and its kin count from behind the padding token's id, so as many rows are never used.
    """
    table = getattr(config, "max_position_embeddings", None)
    computed = any(getattr(config, name, None) for name in ("rope_theta", "rope_parameters"))
    if not table or computed:
        return None
    behind = "roberta" in config.model_type or config.model_type in _BEHIND_PADDING
    return int(table) - (config.pad_token_id + 1 if behind else 0)
