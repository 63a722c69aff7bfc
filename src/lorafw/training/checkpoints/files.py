"""The files of one checkpoint: one format, whichever engine and however many ranks wrote it.

A checkpoint is a folder `step-00000042` that holds `state.safetensors` (per canonical parameter
name the fp32 `value` and the optimizer's tensors, as `<key>/<name>`), where a method has more to
remember `method.safetensors` (`AdaptedModel.training_state`), and `checkpoint.json` (the step, the
fingerprint of the run, what evaluations have shown, and a digest of the tensors).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lorafw.adapters.files.safe_files import write_json
from lorafw.adapters.files.safe_tensors import tensor_digest, write_tensors
from lorafw.contracts.engine import TrainingState
from lorafw.errors import CheckpointError

FORMAT = 2
"""1 had one digest for all that makes up a run, and none of the tensors."""
_STATE, _METHOD, ABOUT = "state.safetensors", "method.safetensors", "checkpoint.json"


@dataclass(frozen=True, slots=True)
class Stored:
    """What a checkpoint holds.

    Attributes:
        about: JSON values: `fingerprint`, `progress`, and what was `settled`.
        state: values and the optimizer's tensors by canonical parameter name.
        method: what the adapter's method has to remember beyond these; mostly nothing.
    """

    about: Mapping[str, Any]
    state: TrainingState
    method: Mapping[str, Tensor] = field(default_factory=dict)


def write_files(folder: Path, stored: Stored) -> None:
    """Fill an empty folder; every file is read back before it counts as written.

    Raises:
        OSError, SafetensorError: a file cannot be written.
        ExportError: what was read back is not what was written.
    """
    digests = {_STATE: _overall(write_tensors(folder / _STATE, flat(stored.state)))}
    if stored.method:
        digests[_METHOD] = _overall(write_tensors(folder / _METHOD, stored.method))
    write_json(folder / ABOUT, {"format": FORMAT, **stored.about, "digests": digests})


def read_files(folder: Path) -> Stored:
    """What a checkpoint holds, seen to be what was written.

    Raises:
        CheckpointError: a file is missing, damaged, or of another format.
    """
    about = _read_about(folder)
    try:
        tensors = {name: load_file(folder / name) for name in about["digests"]}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot be read: {error}.", where=str(folder)) from error
    for name, digest in about["digests"].items():
        if digest != _overall({key: tensor_digest(t) for key, t in tensors[name].items()}):
            raise CheckpointError("is damaged: not what was written.", where=str(folder / name))
    return Stored(about, nested(tensors[_STATE]), tensors.get(_METHOD, {}))


def _read_about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        kind, progress = about["format"], about.get("progress")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"cannot be read: {error}.", where=str(folder / ABOUT)) from error
    if kind != FORMAT:
        raise CheckpointError(
            f"has format {kind}, and this version of lorafw continues format {FORMAT} only.",
            where=str(folder),
            mend="Continue it with the version that wrote it, or start a new run.",
        )
    if not progress or _STATE not in about.get("digests", {}):
        raise CheckpointError("is damaged: parts are missing.", where=str(folder / ABOUT))
    checked: dict[str, Any] = about
    return checked


def flat(state: TrainingState) -> dict[str, Tensor]:
    """A state as `<key>/<name>`, as it lies in a file."""
    return {f"{key}/{name}": t for name, keys in state.items() for key, t in keys.items()}


def nested(tensors: Mapping[str, Tensor]) -> TrainingState:
    """The inverse of `flat`."""
    state: TrainingState = {}
    for label, tensor in tensors.items():
        key, _, name = label.partition("/")
        state.setdefault(name, {})[key] = tensor
    return state


def _overall(digests: Mapping[str, str]) -> str:
    """One digest over those of all tensors."""
    return hashlib.sha256(json.dumps(dict(digests), sort_keys=True).encode()).hexdigest()
