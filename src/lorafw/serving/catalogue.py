"""Which models are served, under which names."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lorafw.serving.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorafw.inference.speaking import SpeakingModel


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A base and its adapters as a client sees them: each a model of its own.

    Attributes:
        model: who answers.
        adapters: what the model itself calls the adapter, by the name that clients use; None is
            the base.
        created: when it was loaded, in seconds since 1970.
    """

    model: SpeakingModel
    adapters: Mapping[str, str | None]
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def base(self) -> str:
        """The name of the base."""
        return next(name for name, adapter in self.adapters.items() if adapter is None)

    def adapter_of(self, name: str) -> str | None:
        """The adapter that answers for a model's name; None is the base.

        Raises:
            Refusal: there is none of this name.
        """
        if name not in self.adapters:
            fault = f"The model {name!r} does not exist. There are: {', '.join(self.adapters)}."
            raise Refusal(404, fault, param="model", code="model_not_found")
        return self.adapters[name]

    def card(self, name: str) -> dict[str, Any]:
        """A model as `GET /v1/models/{id}` tells of it; an adapter's parent is its base.

        Raises:
            Refusal: there is none of this name.
        """
        adapter = self.adapter_of(name)
        about = {"id": name, "object": "model", "created": self.created, "owned_by": "lorafw"}
        return {**about, "parent": None if adapter is None else self.base}

    def cards(self) -> dict[str, Any]:
        """All of them, as `GET /v1/models` does."""
        return {"object": "list", "data": [self.card(name) for name in self.adapters]}
