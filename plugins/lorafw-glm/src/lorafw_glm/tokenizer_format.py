"""Which format an original `tokenizer.model` has, and which special tokens belong to it."""

from __future__ import annotations

from pathlib import Path

from lorafw_glm.published import is_chatglm2


def is_tiktoken(path: Path) -> bool:
    """Whether the first line is text of two words; sentencepiece's files start with a newline."""
    with path.open("rb") as file:
        words = file.readline(1024).split()
    return len(words) == 2 and words[1].isdigit()


def has_roles(folder: Path) -> bool:
    """Whether a sentencepiece tokenizer has ChatGLM3's tokens for roles, as ChatGLM2's has not.

    The vocabularies are the same. What differs is in the code beside them, which is read but never
    run; without it, in the name the folder was published under. Where neither says, it has them.

    Raises:
        ModelError: `config.json` or `tokenizer_config.json` cannot be read.
    """
    code = folder / "tokenization_chatglm.py"
    if code.is_file():
        return "<|user|>" in code.read_text(encoding="utf-8", errors="replace")
    return not is_chatglm2(folder)
