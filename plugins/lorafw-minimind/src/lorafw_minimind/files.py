"""Where a MiniMind model's files are, which encoder its tokenizer is for, and their content."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorafw.errors import ModelError
from lorafw.models import folder as folders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorafw_minimind.architecture import Architecture

_PICKLES = ("pytorch_model.bin", "model.pth")
_PARTS = "pytorch_model.bin.index.json"
_SAFE = ("model.safetensors", "model.safetensors.index.json")
_VOCABULARY = 6400
_EMBEDDINGS = (b"tok_embeddings.weight", b"model.embed_tokens.weight")
_EARLY = ("<unk>", "<s>", "</s>")
_LATER = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


@dataclass(frozen=True, slots=True)
class Files:
    """A model on disk.

    Attributes:
        folder: the one all files are in.
        weights: the files of its tensors.
        config: the fields of `config.json`; empty for a `.pth` alone.
    """

    folder: Path
    weights: tuple[Path, ...]
    config: Mapping[str, Any]

    @property
    def stamp(self) -> tuple[int, ...]:
        """Size and time of the last change of every weight file."""
        found = [file.stat() for file in self.weights]
        return tuple(number for s in found for number in (s.st_size, s.st_mtime_ns))


def locate(path: str) -> Files:
    """The files of a `.pth`, or of a folder with `config.json` and weights.

    Raises:
        ModelError: there are none, or the config is another family's.
    """
    file = Path(path).expanduser()
    if file.is_file():
        file = file.resolve()
        return Files(file.parent, (file,), {})
    if file.suffix in {".pth", ".bin", ".pt"}:
        raise ModelError("there is no such file.", where=path)
    folder = folders.resolve(path)
    if (family := folders.model_type(folder)) != "minimind":
        fault = f"this is a model of type {family!r}, not a MiniMind."
        raise ModelError(fault, where=path, mend="Use model auto with its path.")
    return Files(folder, _weights(folder), folders.read_json(folder / "config.json"))


def _weights(folder: Path) -> tuple[Path, ...]:
    if any((folder / safe).exists() for safe in _SAFE):
        return folders.weight_files(folder)
    for name in _PICKLES:
        if (folder / name).exists():
            return (folder / name,)
    if (folder / _PARTS).exists():
        return folders.indexed_files(folder / _PARTS)
    return folders.weight_files(folder)


def looks_like_minimind(path: Path) -> bool:
    """Whether the files at a path are a MiniMind model's; nothing is unpickled."""
    if not path.is_file():
        config = path / "config.json"
        return config.is_file() and folders.read_json(config).get("model_type") == "minimind"
    try:
        with zipfile.ZipFile(path) as archive:
            tables = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            names = b"".join(map(archive.read, tables))
    except zipfile.BadZipFile:
        return False
    return any(mark in names for mark in _EMBEDDINGS)


def encoder_for(tokenizer: Path) -> str:
    """The encoder whose templates a tokenizer was trained with; `prompt` if it is no MiniMind's.

    Args:
        tokenizer: the tokenizer's folder.

    Raises:
        ModelError: `tokenizer.json` cannot be read.
    """
    file = tokenizer / "tokenizer.json"
    if not file.exists():
        return "prompt"
    content = folders.read_json(file)
    specials = {mark.get("id"): mark.get("content") for mark in content.get("added_tokens", ())}
    first = tuple(specials.get(number) for number in range(3))
    if len(content.get("model", {}).get("vocab", ())) != _VOCABULARY:
        return "prompt"
    if first == _EARLY:
        return "minimind-2025-02"
    later = "minimind-2026" if "<think>" in specials.values() else "minimind-2025-04"
    return later if first == _LATER else "prompt"


def identity(files: Files, form: Architecture) -> str:
    """The content identity of a model: `sha256:` over its weight files and what they are read as.

    The routers' loss is left out: it changes training, not what the model computes.
    """
    form = replace(form, aux_loss_coef=0.0, sequence_balance=False)
    digest = hashlib.sha256(json.dumps(asdict(form), sort_keys=True).encode())
    for weights in files.weights:
        with weights.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"
