"""`python -m lorafw` is the command `lorafw`."""

from __future__ import annotations

from lorafw.cli.main import main

if __name__ == "__main__":
    main()
