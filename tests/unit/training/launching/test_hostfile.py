"""Host files, and which of their hosts this machine is."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from lorafw.errors import UsageError
from lorafw.training.launching.hostfile import Host, own_place, read_hostfile


def _write(folder: Path, text: str) -> Path:
    path = folder / "hosts"
    path.write_text(text, encoding="utf-8")
    return path


def test_hosts_slots_and_comments(tmp_path: Path) -> None:
    text = "# ours\nworker-1 slots=4\n\nworker-2  slots = 2  # smaller\n10.0.0.3\n"
    assert read_hostfile(_write(tmp_path, text)) == [
        Host("worker-1", 4),
        Host("worker-2", 2),
        Host("10.0.0.3", 1),
    ]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a slots=2\nb slots=two\n", ":2", "is not `host slots=N`"),
        ("a slots=0\n", ":1", "is not `host slots=N`"),
        ("a slots=1\na slots=2\n", ":2", "twice"),
        ("# nobody\n", "hosts", "no host"),
    ],
)
def test_what_is_wrong_has_a_line(text: str, line: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=what) as found:
        read_hostfile(_write(tmp_path, text))
    assert found.value.where.endswith(line)


def test_this_machine_is_known_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "gpu2.cluster.lan")
    monkeypatch.setattr(socket, "getfqdn", lambda: "gpu2.cluster.lan")
    assert own_place([Host("gpu1", 1), Host("gpu2", 1)]) == 1


def test_this_machine_is_known_by_address() -> None:
    # 192.0.2.0/24 is kept for documentation: no machine has it.
    assert own_place([Host("192.0.2.7", 1), Host("127.0.0.1", 1)]) == 1


def test_neither_none_nor_two_will_do() -> None:
    assert own_place([Host("192.0.2.7", 1)]) is None
    assert own_place([Host("127.0.0.1", 1), Host("127.0.0.2", 1)]) is None
