"""Says, as JSON, what using lorafw as a library changes in a process; a program for a test."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers


def state() -> dict[str, Any]:
    """What all parts of a process share, as far as a library might meddle with it."""
    root = logging.getLogger()
    return {
        **{f"${name}": value for name, value in os.environ.items()},
        "root logger": [root.level, list(map(repr, root.handlers))],
        "transformers' logger": [transformers.logging.get_verbosity()],
        "warnings": list(map(repr, warnings.filters)),
        "signals": {s.name: repr(signal.getsignal(s)) for s in signal.Signals},
        "excepthook": [repr(sys.excepthook), repr(threading.excepthook)],
        "threads": [thread.name for thread in threading.enumerate()],
        "torch": [
            torch.get_num_threads(),
            torch.get_num_interop_threads(),
            repr(torch.get_default_dtype()),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.benchmark,
            torch.get_float32_matmul_precision(),
        ],
        "seeds": [
            hash(random.getstate()),
            hash(np.random.get_state()[1].tobytes()),  # noqa: NPY002 - the global one
            hash(torch.get_rng_state().numpy().tobytes()),
        ],
        "folder": os.getcwd(),  # noqa: PTH109 - as the process has it
        "recursion": sys.getrecursionlimit(),
    }


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What is not as it was."""
    keys = before.keys() | after.keys()
    found = {key: [before.get(key), after.get(key)] for key in keys}
    return {key: [then, now] for key, (then, now) in found.items() if then != now}


def plain() -> None:
    """Ask the same model with transformers alone: what that changes is none of lorafw's doing."""
    spec = importlib.util.find_spec("lorafw")
    assert spec is not None and spec.submodule_search_locations is not None  # noqa: PT018
    folder = Path(spec.submodule_search_locations[0]) / "demo" / "base"
    transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    model.generate(torch.tensor([[1, 2]]), max_new_tokens=2, do_sample=False)


def main() -> None:
    """Import everything there is, then load a model and ask it."""
    plain()
    before = state()
    import lorafw

    for name in lorafw.__all__:
        getattr(lorafw, name)
    imported = changed(before, state())
    model = lorafw.load("lorafw:demo")
    answer = model.generate("The camel", max_new_tokens=3, temperature=1.0)
    model.generate_many(["The camel", "The"], max_new_tokens=3)
    told = {"imported": imported, "asked": changed(before, state()), "answer": answer}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
