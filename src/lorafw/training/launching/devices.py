"""GPUs of this machine that ranks are given."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping


class Devices:
    """All that are visible, less those whose rank the kernel killed: they may be lost."""

    def __init__(self) -> None:
        self._left: list[str] | None = None

    @property
    def variables(self) -> Mapping[str, str]:
        """What ranks have in their environment."""
        return {} if self._left is None else {"CUDA_VISIBLE_DEVICES": ",".join(self._left)}

    def leave_out(self, local_ranks: Collection[int]) -> None:
        """Do without the devices of these ranks."""
        visible = self._left or _visible()
        left = [name for number, name in enumerate(visible) if number not in local_ranks]
        self._left = left or None


def _visible() -> list[str]:
    if named := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return named.split(",")
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]
