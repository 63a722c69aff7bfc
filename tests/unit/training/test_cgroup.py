"""Limits of control groups, of either version, on the way up from the process's own."""

from __future__ import annotations

from pathlib import Path

from lorafw.training import cgroup


def folder(root: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    """A made-up tree of groups, and the file that says where in it a process is."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (root / "own").write_text(own, encoding="utf-8")
    return root, root / "own"


def test_the_tightest_group_counts(tmp_path: Path) -> None:
    places = folder(
        tmp_path,
        "0::/a/b\n",
        {
            "a/b/memory.max": "max\n",
            "a/b/memory.current": "10\n",
            "a/b/cpu.max": "max 100000\n",
            "a/memory.max": "1000\n",
            "a/memory.current": "700\n",
            "a/memory.stat": "anon 500\ninactive_file 150\n",
            "a/cpu.max": "250000 100000\n",
        },
    )
    assert cgroup.free_memory(*places) == 450
    assert cgroup.processors(*places) == 2.5


def test_the_first_version_is_read_too(tmp_path: Path) -> None:
    places = folder(
        tmp_path,
        "4:memory:/job\n3:cpu,cpuacct:/job\n",
        {
            "memory/job/memory.limit_in_bytes": "1000\n",
            "memory/job/memory.usage_in_bytes": "600\n",
            "memory/job/memory.stat": "total_inactive_file 100\n",
            "cpu/job/cpu.cfs_quota_us": "150000\n",
            "cpu/job/cpu.cfs_period_us": "100000\n",
            "cpu/cpu.cfs_quota_us": "-1\n",
            "cpu/cpu.cfs_period_us": "100000\n",
        },
    )
    assert cgroup.free_memory(*places) == 500
    assert cgroup.processors(*places) == 1.5


def test_no_group_no_limit(tmp_path: Path) -> None:
    assert cgroup.free_memory(tmp_path, tmp_path / "none") is None
    places = folder(tmp_path, "0::/\n", {})
    assert cgroup.free_memory(*places) is cgroup.processors(*places) is None
