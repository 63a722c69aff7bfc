"""Folders of base models: where they are, what their files say, and which content they hold."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorafw.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DEMO = "lorafw:demo"
"""The path that names the small base model inside the package."""

_WHOLE = 64 << 20
_STRIDE, _BLOCK = 16 << 20, 64 << 10
_WANTED = ("*.safetensors", "*.json", "*.jinja", "tokenizer*", "*.model", "*.txt")
# Written by whoever saved the file last; they say nothing about the weights.
_VOLATILE = ("_name_or_path", "transformers_version")


def resolve(path: str, *, code: bool = False) -> Path:
    """The local folder of a model.

    Args:
        path: an existing folder, `lorafw:demo`, or the id `org/name` of a model on the Hugging
            Face hub, of which the safetensors, configuration and tokenizer files are fetched.
        code: fetch the Python files of a hub model too.

    Raises:
        ModelError: there is no such folder, and the hub does not have it or is out of reach.
    """
    if path == DEMO:
        return Path(str(resources.files("lorafw"))) / "demo" / "base"
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.exists():
        raise ModelError("is a file.", where=path, mend="Name the folder that holds the model.")
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", path):
        raise ModelError("there is no such folder.", where=path)
    return _download(path, code=code)


@functools.cache
def _download(repo: str, *, code: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    patterns = [*_WANTED, *(["*.py"] if code else [])]
    try:
        found = snapshot_download(repo, allow_patterns=patterns, ignore_patterns=["*/*"])
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError):
        fault = "there is no such folder, and the Hugging Face hub is out of reach."
        raise ModelError(fault, where=repo, mend="Check the path, or go online once.") from None
    except HfHubHTTPError as error:
        fault = f"there is no such folder, and the Hugging Face hub refuses: {_first_line(error)}"
        raise ModelError(fault, where=repo, mend="Is it private? Then: hf auth login") from None
    return Path(found)


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object from a file of the model.

    Raises:
        ModelError: the file is missing, is not JSON, or holds something other than an object.
    """
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        mend = "Is this the folder of a model in the transformers layout?"
        raise ModelError("the file is missing.", where=str(file), mend=mend) from None
    except json.JSONDecodeError as error:
        where = f"{file}:{error.lineno}"
        raise ModelError(f"not valid JSON: {error.msg}.", where=where) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"cannot be read: {_first_line(error)}", where=str(file)) from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"not valid JSON: {error}.", where=str(file)) from None
    if not isinstance(value, dict):
        raise ModelError("should hold a JSON object.", where=str(file))
    return value


def base_of_adapter(file: Path) -> str:
    """What an adapter's `adapter_config.json` names as its base; empty if nothing.

    Raises:
        ModelError: the file cannot be read, or what it names is no text.
    """
    named = read_json(file).get("base_model_name_or_path")
    if named is not None and not isinstance(named, str):
        where = f"{file}: base_model_name_or_path"
        raise ModelError("should be a text.", where=where)
    return named or ""


def model_type(folder: Path) -> str:
    """The architecture's name, as `config.json` gives it.

    Raises:
        ModelError: `config.json` cannot be read or does not say.
    """
    file = folder / "config.json"
    if not (folder / "config.json").exists() and (folder / "adapter_config.json").exists():
        base = base_of_adapter(folder / "adapter_config.json")
        mend = f"Give its base model: {base or 'its folder is not written down here'}."
        raise ModelError("this is an adapter, not a model.", where=str(folder), mend=mend)
    name = read_json(file).get("model_type")
    if not isinstance(name, str) or not name:
        raise ModelError("has no 'model_type'.", where=str(file), mend="Which architecture is it?")
    return name


def has_chat_template(folder: Path) -> bool:
    """Whether the folder's tokenizer knows how a conversation is written.

    Raises:
        ModelError: `tokenizer_config.json` cannot be read.
    """
    if (folder / "chat_template.jinja").exists():
        return True
    file = folder / "tokenizer_config.json"
    return file.exists() and bool(read_json(file).get("chat_template"))


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files that hold the weights, in order of their names.

    Raises:
        ModelError: there are none, one of several is missing, or they are pickles.
    """
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.exists():
        return (whole,)
    if not index.exists():
        raise _no_weights(folder)
    return indexed_files(index)


def indexed_files(index: Path) -> tuple[Path, ...]:
    """The files that an index of shards names, in order of their names.

    Raises:
        ModelError: it names none, or one is missing.
    """
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise ModelError("has no 'weight_map'.", where=str(index), mend="Fetch the model again.")
    files = tuple(index.parent / name for name in sorted(set(map(str, shards.values()))))
    for file in files:
        if not file.exists():
            fault = f"{file.name} is missing, though {index.name} names it."
            raise ModelError(fault, where=str(index.parent), mend="Fetch the model again.")
    return files


def _no_weights(folder: Path) -> ModelError:
    pickles = sorted(f.name for f in folder.glob("*") if f.suffix in {".bin", ".pt", ".pth"})
    if pickles:
        mend = "lorafw does not open pickles; convert the model to safetensors."
        return ModelError(f"the weights are in {pickles[0]}.", where=str(folder), mend=mend)
    mend = "Needed: model.safetensors, or model.safetensors.index.json with its parts."
    return ModelError("there are no weights.", where=str(folder), mend=mend)


def identity(folder: Path) -> str:
    """The content identity of a model: `sha256:` and 64 hex digits.

    Covers `config.json` and, of each weight file, its size, its header (names, shapes, dtypes) and
    64 KiB of every 16 MiB; files up to 64 MiB are read whole. So it costs milliseconds, does not
    depend on the path, and changes with any fine-tune that moves the weights as a whole; a change
    of a few numbers in a large file can go unseen.

    Raises:
        ModelError: a file is missing or cannot be read.
    """
    return content_identity(read_json(folder / "config.json"), weight_files(folder))


def content_identity(config: Mapping[str, Any], files: Iterable[Path]) -> str:
    """As `identity`, for a config and weight files of any format; only safetensors have headers."""
    stable = {key: value for key, value in config.items() if key not in _VOLATILE}
    digest = hashlib.sha256(json.dumps(stable, sort_keys=True).encode())
    for file in files:
        for block in _samples(file):
            digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def _samples(file: Path) -> Iterator[bytes]:
    size = file.stat().st_size
    yield size.to_bytes(8, "little")
    with file.open("rb") as stream:
        if size <= _WHOLE:
            yield stream.read()
            return
        if file.suffix == ".safetensors":
            header = int.from_bytes(stream.read(8), "little")
            yield stream.read(min(header, size))
        for start in range(0, size, _STRIDE):
            stream.seek(start)
            yield stream.read(_BLOCK)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
