"""A process that ends while an adapter is folded into its base."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
from lorafw.adapters.live.folding import FoldedAdapter
from lorafw.testing.toys import toy_bundle
from lorafw_peft.injector import PeftInjector

folded = FoldedAdapter(PeftInjector(r=2).inject(toy_bundle()), keep_base=False)
"""


def test_it_ends_without_a_word() -> None:
    """The switch is given back before the interpreter takes torch apart, not after."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
