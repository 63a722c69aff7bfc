"""What every export asks of trained numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.errors import ExportError

if TYPE_CHECKING:
    from lorafw.types import AdapterState


def require_finite(state: AdapterState) -> None:
    """Refuse an adapter that training has blown up.

    Raises:
        ExportError: a number is NaN or infinite.
    """
    for name, tensor in state.tensors.items():
        if not tensor.isfinite().all():
            mend = "Train with a lower learning rate."
            raise ExportError(f"{name} holds NaN or infinity.", mend=mend)
