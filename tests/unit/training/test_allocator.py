from __future__ import annotations

import os
import subprocess
import sys

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is meant")

GROWTH = """
import sys
import torch
from lorafw.planning.process_memory import resident_memory
from lorafw.training.allocator import set_allocator
set_allocator(sys.argv[1])
torch.zeros(4 << 20)  # what glibc would learn from: a block of 16 MiB comes and goes
before = resident_memory()
several = [torch.ones(1 << 20) for _ in range(16)]
pin = [torch.ones(8 << 10) for _ in range(64)]  # above them in a heap, if they are in one
del several
print((resident_memory() - before) >> 20)
"""

KERNELS_KEPT = """
import sys
import torch
from lorafw.planning.process_memory import resident_memory
from lorafw.training.allocator import set_allocator
set_allocator(sys.argv[1])
torch.set_num_threads(1)
left, right = torch.ones(2, 600, 64).bfloat16(), torch.ones(2, 64, 600).bfloat16()
left @ right
before = resident_memory()
for rows in range(100, 500):
    left[:, :rows] @ right[:, :, : rows // 2]
print((resident_memory() - before) >> 20)
"""


def grown(script: str, way: str, **variables: str) -> int:
    """By how many MiB a process has grown that was told this way."""
    # What an earlier test in this process chose is no wish of the user's.
    chosen = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"}
    plain = {name: value for name, value in os.environ.items() if name not in chosen}
    done = subprocess.run(
        [sys.executable, "-c", script, way],
        env={**plain, **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@linux
@pytest.mark.parametrize(("way", "kept"), [("lean", False), ("fast", True)])
def test_memory_of_large_tensors_is_given_back_or_kept(way: str, kept: bool) -> None:
    growth = grown(GROWTH, way)
    assert growth > 48 if kept else growth < 8


@linux
def test_what_the_environment_says_stays() -> None:
    assert grown(GROWTH, "fast", MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="65536") < 8


@linux
def test_few_compiled_kernels_are_kept() -> None:
    assert grown(KERNELS_KEPT, "lean") < 64
