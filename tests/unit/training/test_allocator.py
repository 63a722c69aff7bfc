from __future__ import annotations

import subprocess
import sys

import pytest

GROWTH = """
import torch
from lorafw.planning.process_memory import resident_memory
from lorafw.training.allocator import keep_little
keep_little()
torch.zeros(4 << 20)  # what glibc would learn from: a block of 16 MiB comes and goes
before = resident_memory()
several = [torch.ones(1 << 20) for _ in range(16)]
pin = [torch.ones(8 << 10) for _ in range(64)]  # above them in a heap, if they are in one
del several
print((resident_memory() - before) >> 20)
"""

KERNELS_KEPT = """
import torch
from lorafw.planning.process_memory import resident_memory
from lorafw.training.allocator import keep_little
keep_little()
torch.set_num_threads(1)
left, right = torch.ones(2, 600, 64).bfloat16(), torch.ones(2, 64, 600).bfloat16()
left @ right
before = resident_memory()
for rows in range(100, 500):
    left[:, :rows] @ right[:, :, : rows // 2]
print((resident_memory() - before) >> 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is meant")
def test_memory_of_large_tensors_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 8


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the size of a process")
def test_few_compiled_kernels_are_kept() -> None:
    done = subprocess.run([sys.executable, "-c", KERNELS_KEPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 64
