"""`python -m benchmarks.reading FILE`: the memory that reading kept rows takes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.measure import own_memory
from lorafw.data.cache.arrow_file import mapped


def measure(path: Path) -> dict[str, int]:
    """Bytes that ids and labels are, and that opening the file and reading all of it takes.

    What counts is resident memory of the process's own, not pages of the file, which the system
    takes back as it likes; Linux only.
    """
    mapped(path)  # what the libraries take for themselves comes first
    before = own_memory()
    rows = mapped(path)
    opened = most = own_memory()
    size = 0
    for at, row in enumerate(rows):
        size += 4 * (len(row.input_ids) + len(row.labels))
        if at % 1000 == 0:
            most = max(most, own_memory())
    return {"size": size, "opening": opened - before, "reading": most - before}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(Path(sys.argv[1]))))
