"""Single weights of a base model, without the rest where its files allow that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.errors import AdapterError, ModelError
from lorafw.models import folder as folders
from lorafw.models.builder import TransformersBuilder
from lorafw.models.headers import stored_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from lorafw.contracts.model import ModelBuilder


def base_weights(builder: ModelBuilder, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    """Tensors of a base by the names they have in its module, one at a time, on the CPU.

    They are read from safetensors files that hold them under these names; otherwise the model is
    built.

    Raises:
        AdapterError: the base has no such tensor.
        ModelError: a file is damaged.
    """
    places = _places(builder)
    if set(names) <= places.keys():
        yield from ((name, _read(places[name], name)) for name in names)
        return
    yield from _built(builder, names)


def _places(builder: ModelBuilder) -> dict[str, Path]:
    """The file of each tensor; empty if there are no safetensors files."""
    folder = builder.folder() if isinstance(builder, TransformersBuilder) else None
    if folder is None:
        return {}
    try:
        files = folders.weight_files(folder)
    except ModelError:  # pickles, which a builder of its own may read
        return {}
    return {name: file for file in files for name in stored_tensors([file])}


def _read(file: Path, name: str) -> Tensor:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as stored:
        tensor: Tensor = stored.get_tensor(name)
    return tensor


def _built(builder: ModelBuilder, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    import torch

    from lorafw.contracts.model import ModelRequest
    from lorafw.types import Task

    request = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
    state = builder.build(request, builder.tokenizer()).module.state_dict()
    for name in names:
        if name not in state:
            mend = "Is it an adapter of another base model?"
            raise AdapterError(f"the base has no tensor {name}.", mend=mend)
        yield name, state[name]
