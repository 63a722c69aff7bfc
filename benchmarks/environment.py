"""The surroundings every measured process gets: no GPU, no network, a fixed number of threads."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def environment(workdir: Path, *, threads: int) -> dict[str, str]:
    """The environment of a measured process; what libraries cache goes below `workdir`."""
    fixed = {
        **threads_of(threads),
        "CUDA_VISIBLE_DEVICES": "",
        "DS_ACCELERATOR": "cpu",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(workdir / "huggingface"),
        "LORAFW_CACHE": str(workdir / "rows"),
        "TORCHINDUCTOR_CACHE_DIR": str(workdir / "compiled"),
        "TOKENIZERS_PARALLELISM": "false",
    }
    return {**os.environ, **fixed}


def threads_of(threads: int) -> dict[str, str]:
    """The variables that give a process its threads; of the two, PyTorch heeds MKL's first."""
    return {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
