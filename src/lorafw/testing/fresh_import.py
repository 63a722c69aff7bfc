"""What comes along when a class is imported in a fresh interpreter where torch cannot be."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HEAVY = ("torch", "transformers", "peft")

_PROBE = f"""
import importlib, sys
module, _, name = sys.argv[1].partition(":")
getattr(importlib.import_module(module), name)
print(*({{*{HEAVY!r}}} & sys.modules.keys()))
"""
_NO_TORCH = 'raise ImportError("the module of a part must not import torch; do it inside methods")'


def import_path(kind: type) -> str:
    """The import path of a class, `module:Class`."""
    return f"{kind.__module__}:{kind.__qualname__}"


@functools.cache
def heavy_imports(path: str) -> tuple[str, ...]:
    """Which of `HEAVY` a fresh interpreter imports on the way to `module:Class`.

    Raises:
        AssertionError: the class could not be imported there.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "torch.py").write_text(_NO_TORCH, encoding="utf-8")
        places = os.pathsep.join([folder, *filter(None, sys.path)])
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, path],
            env={**os.environ, "PYTHONPATH": places},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, f"cannot be imported: {done.stderr.strip().splitlines()[-1]}"
    return tuple(sorted(done.stdout.split()))
