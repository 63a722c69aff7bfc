"""A job that is quickly done."""

from __future__ import annotations

from benchmarks.job import Job


def small_job(shape: str = "tiny") -> Job:
    """Two timed steps after one."""
    return Job(
        model="",
        adapter="",
        workdir="",
        shape=shape,
        layers=1,
        gsm8k="",
        warmup=1,
        steps=2,
        seed=0,
        threads=1,
        learning_rate=1e-3,
    )
