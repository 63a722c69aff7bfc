"""Under which name a folder was published, where nothing else tells ChatGLM2 from ChatGLM3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.models import folder as folders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NOTED = (("config.json", "_name_or_path"), ("tokenizer_config.json", "name_or_path"))


def is_chatglm2(folder: Path) -> bool:
    """Whether a name that the folder goes by has `chatglm2` in it.

    Raises:
        ModelError: `config.json` or `tokenizer_config.json` cannot be read.
    """
    return any("chatglm2" in name.lower() for name in _names(folder))


def _names(folder: Path) -> Iterator[str]:
    for file, key in _NOTED:
        if (folder / file).is_file():
            yield str(folders.read_json(folder / file).get(key))
    if folder.parent.name == "snapshots":  # models--org--name/snapshots/revision, a hub's download
        yield folder.parent.parent.name
