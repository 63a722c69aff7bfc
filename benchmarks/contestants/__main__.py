"""`python -m benchmarks.contestants NAME JOB OUTCOME`: one contestant in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from benchmarks.contestants import CONTESTANTS
from benchmarks.job import Job

if __name__ == "__main__":
    name, given, result = sys.argv[1:]
    job = Job.read(Path(given))
    torch.set_num_threads(job.threads)
    CONTESTANTS[name].run(job).write(Path(result))
