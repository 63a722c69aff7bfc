"""PEFT's adapter folder with the tensors in a pickle, `adapter_model.bin`, as it used to be."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lorafw.adapters.files.tensor_files import plain_tensors, write_pickle
from lorafw.adapters.layout.peft_config import CONFIG_FILE
from lorafw.adapters.layout.peft_layout import RECIPE_FILE, TENSOR_FILE, read_adapter
from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from lorafw.types import AdapterState

PICKLE_FILE = "adapter_model.bin"


def tensor_file(folder: Path) -> Path | None:
    """The file of an adapter folder's tensors, of either kind; None if there is none."""
    found = (folder / name for name in (TENSOR_FILE, PICKLE_FILE))
    return next((file for file in found if file.is_file()), None)


def read_either(folder: Path) -> AdapterState:
    """Read an adapter folder whose tensors are in a safetensors file or in a pickle.

    Raises:
        AdapterError: as `read_adapter`; or the pickle holds more than plain tensors.
    """
    pickled = tensor_file(folder) == folder / PICKLE_FILE
    return read_pickled(folder) if pickled else read_adapter(folder)


def read_pickled(folder: Path) -> AdapterState:
    """Read an adapter folder whose tensors are in a pickle, which is opened for tensors only.

    Raises:
        AdapterError: as `read_adapter`; or the pickle holds more than plain tensors.
    """
    from safetensors.torch import save_file

    tensors = plain_tensors(folder / PICKLE_FILE)
    with TemporaryDirectory(prefix="lorafw-adapter-") as name:
        scratch = Path(name)
        for file in (CONFIG_FILE, RECIPE_FILE):
            if (folder / file).is_file():
                shutil.copyfile(folder / file, scratch / file)
        save_file({n: t.contiguous().clone() for n, t in tensors.items()}, scratch / TENSOR_FILE)
        try:
            return read_adapter(scratch)
        except AdapterError as error:
            raise _told_of(folder, scratch, error) from None


def pickle_tensors(folder: Path) -> Path:
    """Put a pickle in the place of an adapter folder's safetensors file."""
    from safetensors.torch import load_file

    safe = folder / TENSOR_FILE
    file = write_pickle(folder / PICKLE_FILE, load_file(safe))
    safe.unlink()
    return file


def _told_of(folder: Path, scratch: Path, error: AdapterError) -> AdapterError:
    """The same error, with the user's own files in the place of those that were made for it."""
    what, where, mend = (
        text.replace(str(scratch), str(folder)).replace(TENSOR_FILE, PICKLE_FILE)
        for text in (error.what, error.where, error.mend)
    )
    return AdapterError(what, where=where, mend=mend)
