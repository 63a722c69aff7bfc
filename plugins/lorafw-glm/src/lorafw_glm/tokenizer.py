"""The tokenizer in a folder of an original ChatGLM or GLM-4 checkpoint, without its code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorafw.errors import ModelError
from lorafw.models import folder as folders
from lorafw_glm.tokenizer_format import has_roles, is_tiktoken

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.types import Tokenizer

_LONG = "sequence-length-is-longer-than-the-specified-maximum"


def original_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer that `tokenizer.model` describes: sentencepiece's or tiktoken's format.

    Raises:
        ModelError: the file is missing, damaged or of another kind.
    """
    from lorafw_glm._sentencepiece import chatglm_tokenizer
    from lorafw_glm._tiktoken import glm4_tokenizer

    path = folder / "tokenizer.model"
    if not path.is_file():
        mend = "Copy tokenizer.model there, or set tokenizer_path."
        raise ModelError("there is no tokenizer.", where=str(folder), mend=mend)
    built: Any = (
        glm4_tokenizer(path, _config(folder))
        if is_tiktoken(path)
        else chatglm_tokenizer(path, roles=has_roles(folder))
    )
    # Encoders cut long rows and say so; the tokenizer's own warning comes before the cut.
    built.deprecation_warnings[_LONG] = True
    tokenizer: Tokenizer = built
    return tokenizer


def _config(folder: Path) -> dict[str, Any]:
    file = folder / "tokenizer_config.json"
    return folders.read_json(file) if file.exists() else {}
