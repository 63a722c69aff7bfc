"""A tokenizer as the lists of a GGUF file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gguf import TokenType

from lorafw.errors import ExportError
from lorafw_gguf._pre_tokenizers import pre_tokenizer_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import gguf

    from lorafw.types import Tokenizer

_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_MEND = "Use exporter merged."


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What llama.cpp must know to make a text into ids.

    Attributes:
        model: `gpt2` for byte-level BPE, `llama` for SentencePiece's, which falls back on bytes.
        pre: how a text is split before it is merged, by llama.cpp's name.
        tokens: by id; ids that the tokenizer does not use have names of their own.
        types: of the tokens.
        scores: of the tokens, for `llama`: of two neighbours the better are merged first.
        merges: for `gpt2`, best first.
        space_prefix: for `llama`, a space stands before a text.
    """

    model: str
    pre: str
    tokens: Sequence[str]
    types: Sequence[TokenType]
    scores: Sequence[float] = ()
    merges: Sequence[str] = ()
    space_prefix: bool | None = None

    def write(self, writer: gguf.GGUFWriter) -> None:
        """Put the lists into a file's header."""
        writer.add_tokenizer_model(self.model)
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(list(self.tokens))
        writer.add_token_types([int(kind) for kind in self.types])
        if self.scores:
            writer.add_token_scores(list(self.scores))
        if self.merges:
            writer.add_token_merges(list(self.merges))
        if self.space_prefix is not None:
            writer.add_add_space_prefix(self.space_prefix)


def vocabulary_of(tokenizer: Tokenizer, rows: int) -> Vocabulary:
    """A tokenizer's vocabulary, with as many tokens as the embedding has rows.

    Raises:
        ExportError: llama.cpp has no tokenizer that does what this one does.
    """
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        fault = f"a {type(tokenizer).__name__} is no tokenizer of the tokenizers library."
        raise ExportError(fault, mend=_MEND)
    stored = json.loads(backend.to_str())
    model = stored["model"]
    if model["type"] != "BPE":
        fault = f"the tokenizer is of type {model['type']}; llama.cpp has BPE for this family."
        raise ExportError(fault, mend=_MEND)
    tokens, types = _tokens(model["vocab"], stored["added_tokens"], rows)
    merges = [m.split(" ", 1) if isinstance(m, str) else m for m in model["merges"]]
    if model.get("byte_fallback"):
        return _sentencepiece(stored, tokens, types, merges)
    pre = pre_tokenizer_name(stored)
    lines = [" ".join(part.replace(" ", "\u0120") for part in merge) for merge in merges]
    return Vocabulary("gpt2", pre, tokens, types, merges=lines)


def _tokens(
    vocabulary: Mapping[str, int], added: Sequence[Mapping[str, Any]], rows: int
) -> tuple[list[str], list[TokenType]]:
    last = max((*vocabulary.values(), *(entry["id"] for entry in added)))
    if last >= rows:
        fault = f"the tokenizer has a token {last}, the embedding {rows} rows."
        raise ExportError(fault, mend=_MEND)
    tokens = [f"[PAD{at}]" for at in range(rows)]
    types = [TokenType.UNUSED] * rows
    for token, at in vocabulary.items():
        tokens[at] = token
        types[at] = TokenType.BYTE if _BYTE.fullmatch(token) else TokenType.NORMAL
    for entry in added:
        at = entry["id"]
        tokens[at] = entry["content"]
        types[at] = TokenType.CONTROL if entry["special"] else TokenType.USER_DEFINED
    return tokens, types


def _sentencepiece(
    stored: Mapping[str, Any],
    tokens: list[str],
    types: list[TokenType],
    merges: Sequence[Sequence[str]],
) -> Vocabulary:
    """SentencePiece merges by a token's score: its first merge says how good it is."""
    unknown = stored["model"].get("unk_token")
    if unknown in tokens:
        types[tokens.index(unknown)] = TokenType.UNKNOWN
    rank: dict[str, int] = {}
    for at, (left, right) in enumerate(merges):
        rank.setdefault(left + right, at)
    least = -float(len(merges) + 1)
    scores = [
        0.0 if kind is not TokenType.NORMAL else -float(rank[token]) if token in rank else least
        for token, kind in zip(tokens, types, strict=True)
    ]
    return Vocabulary("llama", "default", tokens, types, scores, space_prefix=_space_prefix(stored))


def _space_prefix(stored: Mapping[str, Any]) -> bool:
    """Whether a space is put before a text; llama.cpp also puts one behind every special token.

    Raises:
        ExportError: the text is changed in a way that llama.cpp does not know.
    """
    steps = [*_steps(stored["normalizer"]), *_steps(stored["pre_tokenizer"])]
    kinds = {step["type"] for step in steps}
    if not kinds <= {"Prepend", "Replace", "Metaspace"}:
        fault = f"the tokenizer changes a text by {', '.join(sorted(kinds))}, unlike llama.cpp's."
        raise ExportError(fault, mend=_MEND)
    schemes = [step.get("prepend_scheme", "never") for step in steps if step["type"] == "Metaspace"]
    return "Prepend" in kinds or any(scheme != "never" for scheme in schemes)


def _steps(part: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if part is None:
        return []
    inner = part.get("normalizers") or part.get("pretokenizers")
    return [step for each in inner for step in _steps(each)] if inner else [part]
