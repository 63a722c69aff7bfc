"""A part whose module drags torch in."""

from __future__ import annotations

from typing import ClassVar

import torch
from tests.unit.testing.broken.parts import Sound


class Heavy(Sound):
    """Makes `lorafw --help` wait for torch."""

    breaks: ClassVar[tuple[str, ...]] = ("its class is imported without torch",)

    dtype: ClassVar[torch.dtype] = torch.float32
