"""What is written down beside every export of a run: how to ask the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lorafw
from lorafw.inference.provenance import provenance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.model import ModelBuilder, ModelBundle


def recipe_of(
    bundle: ModelBundle,
    builder: ModelBuilder,
    encoder: Encoder,
    *,
    names: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """The recipe of a model that a run trained.

    Args:
        bundle: the model.
        builder: of its base.
        encoder: renders prompts as the rows of training were rendered.
        names: what the config calls model, encoder and injector.
        seed: the run's.
    """
    return {
        "lorafw": lorafw.__version__,
        "base": bundle.base,
        **provenance(bundle.tokenizer, encoder),
        "model": {"use": names["model"], **builder.model_dump(mode="json")},
        "encoder": {"use": names["encoder"], **encoder.model_dump(mode="json")},
        "injector": {"use": names["injector"]},
        "seed": seed,
        **({"labels": list(bundle.labels)} if bundle.labels else {}),
    }
