"""A process that encodes portions for another: examples come in, rows go out, until both end."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from contextlib import suppress

from lorafw.errors import LorafwError


def main() -> None:
    """Serve; what cannot be done here is left to the one who asks, who will meet its error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other one hears it and ends this one
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a part prints is no answer
        orders = sys.stdin.buffer
        sys.path[:] = pickle.load(orders)  # noqa: S301 - from the process that started this one
        maker = pickle.load(orders)  # noqa: S301
        with suppress(EOFError, LorafwError):
            while True:
                portion = maker.portion(*pickle.load(orders))  # noqa: S301
                pickle.dump(portion, answers)
                answers.flush()


if __name__ == "__main__":
    main()
