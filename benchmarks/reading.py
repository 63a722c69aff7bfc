"""`python -m benchmarks.reading FILE`: the memory that reading kept rows takes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from lorafw.data.cache.arrow_file import mapped


def measure(path: Path) -> dict[str, int]:
    """Bytes that ids and labels are, and that opening the file and reading all of it takes.

    What counts is resident memory of the process's own, not pages of the file, which the system
    takes back as it likes; Linux only.
    """
    mapped(path)  # what the libraries take for themselves comes first
    before = _own_memory()
    rows = mapped(path)
    opened = most = _own_memory()
    size = 0
    for at, row in enumerate(rows):
        size += 4 * (len(row.input_ids) + len(row.labels))
        if at % 1000 == 0:
            most = max(most, _own_memory())
    return {"size": size, "opening": opened - before, "reading": most - before}


def _own_memory() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(Path(sys.argv[1]))))
