"""`python -m lorafw.certification.worker FOLDER`: opens one export and compares it."""

from __future__ import annotations

import sys
from pathlib import Path

from lorafw.certification.opening import work

if __name__ == "__main__":
    work(Path(sys.argv[1]))
