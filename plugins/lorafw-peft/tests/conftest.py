"""One launch of two ranks, for all tests that look at what they end with."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import Tensor

from lorafw.testing.forked_ranks import run_on_ranks


@pytest.fixture(scope="session")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """What each rank of `two_ranks.py` ended with, as `case/name`."""
    folder = tmp_path_factory.mktemp("ranks")
    here, hidden = Path(__file__).parent, {"CUDA_VISIBLE_DEVICES": ""}
    log = folder / "ranks.log"
    run_on_ranks(2, "two_ranks", [str(folder)], log=log, folder=here, environment=hidden)
    return [load_file(folder / f"rank-{rank}.safetensors") for rank in (0, 1)]
