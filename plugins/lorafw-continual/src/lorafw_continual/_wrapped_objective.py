"""The run's objective with something added to its loss."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict, PrivateAttr

from lorafw.contracts import Hidden, ModelBundle, Objective
from lorafw.errors import CompositionError
from lorafw.types import Batch, Task

if TYPE_CHECKING:
    from typing import Any

    from torch import Tensor


class WrappedObjective(Objective, ABC):
    """Counts, measures and tells what the run's objective does; one object serves a whole run."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    task: ClassVar[Task] = Task.CAUSAL_LM
    units: ClassVar[tuple[str, ...]] = ("targets",)
    sums: ClassVar[tuple[str, ...]] = ("loss", "targets")
    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {
        "loss": "lower",
        "perplexity": "lower",
    }

    _own: Objective = PrivateAttr()

    def counts(self, batch: Batch) -> Mapping[str, int]:
        """What the run's objective counts."""
        return self._own.counts(batch)

    def measure(self, bundle: ModelBundle, batch: Batch) -> Mapping[str, Tensor]:
        """What the run's objective measures."""
        return self._own.measure(bundle, batch)

    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        """What the run's objective tells."""
        return self._own.summarise(totals)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


class SeenOnce:
    """A bundle whose model is run once, so that one forward pass serves several losses."""

    def __init__(self, bundle: ModelBundle) -> None:
        self._bundle = bundle
        self._seen: Hidden | None = None

    def hidden(self, inputs: Mapping[str, Tensor]) -> Hidden:
        """What comes out before the head; of the first inputs, whatever is given later."""
        if self._seen is None:
            self._seen = self._bundle.hidden(inputs)
        return self._seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bundle, name)


def require_tokens(objective: Objective, scenario: str) -> None:
    """Refuse an objective that is not about next tokens.

    Raises:
        CompositionError: it is about classes.
    """
    if objective.task is not Task.CAUSAL_LM:
        fault = f"{scenario} is about the chances of the next token, and these rows have classes."
        raise CompositionError(fault, where="scenario", mend="Choose another scenario.")
