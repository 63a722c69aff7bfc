"""One process of `benchmarks.kept_prefix`: COUNT READS FOLDER, and the cost on stdout."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.kept_prefix import measure

if __name__ == "__main__":
    count, reads, folder = sys.argv[1:]
    print(json.dumps(asdict(measure(int(count), int(reads), Path(folder)))))
