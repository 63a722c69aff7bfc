"""The tokenizer that a GGUF file speaks of, made as llama.cpp does from the file's lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gguf import TokenType
from tokenizers import AddedToken, Regex, decoders, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend
from tokenizers.models import BPE

from lorafw_gguf._pre_tokenizers import PATTERNS

if TYPE_CHECKING:
    import gguf

    from lorafw.types import Tokenizer

_GGML = "tokenizer.ggml."
_MARKS = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
_SPACE = "\u2581"
_WHOLE = ("llama-bpe", "tekken")
"""Of these llama.cpp takes a piece of text that is a token whole, even if no merges make it."""


def tokenizer_of(reader: gguf.GGUFReader) -> Tokenizer:
    """The tokenizer of a file."""
    from transformers import PreTrainedTokenizerFast

    keys = _Keys(reader)
    backend = _sentencepiece(keys) if keys("model") == "llama" else _byte_level(keys)
    for kind in (TokenType.CONTROL, TokenType.USER_DEFINED):
        special = kind is TokenType.CONTROL
        added = [
            AddedToken(token, special=special, normalized=False)
            for token, found in zip(keys("tokens"), keys("token_type"), strict=True)
            if found == kind
        ]
        (backend.add_special_tokens if special else backend.add_tokens)(added)
    marks = {f"{name}_token": keys.token(f"{stored}_token_id") for name, stored in _MARKS.items()}
    if keys("add_bos_token"):
        mark, number = marks["bos_token"], keys("bos_token_id")
        backend.post_processor = processors.TemplateProcessing(
            single=f"{mark} $A", special_tokens=[(mark, number)]
        )
    made: Tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        chat_template=reader_value(reader, "tokenizer.chat_template"),
        **{name: mark for name, mark in marks.items() if mark is not None},
    )
    return made


def reader_value(reader: gguf.GGUFReader, key: str) -> Any:
    """A value of a file's header; None if it has no such key."""
    field = reader.get_field(key)
    return None if field is None else field.contents()


class _Keys:
    """The part of a header that is about the tokenizer; lists are read once."""

    def __init__(self, reader: gguf.GGUFReader) -> None:
        self._reader, self._read = reader, dict[str, Any]()

    def __call__(self, name: str) -> Any:
        if name not in self._read:
            self._read[name] = reader_value(self._reader, _GGML + name)
        return self._read[name]

    def token(self, name: str) -> str | None:
        number = self(name)
        return None if number is None else str(self("tokens")[number])

    def vocabulary(self) -> dict[str, int]:
        """Tokens and ids, without those that only fill the embedding."""
        types, unused = self("token_type"), int(TokenType.UNUSED)
        return {t: i for i, t in enumerate(self("tokens")) if types[i] != unused}


def _byte_level(keys: _Keys) -> Backend:
    merges = [tuple(line.split(" ", 1)) for line in keys("merges")]
    backend = Backend(BPE(keys.vocabulary(), merges, ignore_merges=keys("pre") in _WHOLE))
    pattern = next((p for p, name in PATTERNS.items() if name == keys("pre")), None)
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    before: list[Any] = []
    if pattern is not None:
        before = [pre_tokenizers.Split(Regex(pattern), behavior="isolated")]
    elif keys("pre") == "smollm":
        before = [pre_tokenizers.Digits(individual_digits=True)]
    backend.pre_tokenizer = pre_tokenizers.Sequence([*before, as_bytes])
    backend.decoder = decoders.ByteLevel()
    return backend


def _sentencepiece(keys: _Keys) -> Backend:
    """Of two neighbours that make a token together, those go first whose token scores best."""
    vocabulary, scores = keys.vocabulary(), keys("scores")
    normal = [t for t, i in vocabulary.items() if keys("token_type")[i] == TokenType.NORMAL]
    known = set(normal)
    merges = [
        (token[:at], token[at:])
        for token in sorted(normal, key=lambda token: -float(scores[vocabulary[token]]))
        for at in range(1, len(token))
        if token[:at] in known and token[at:] in known
    ]
    unknown = keys.token("unknown_token_id")
    model = BPE(vocabulary, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True)
    backend = Backend(model)
    prefix = [normalizers.Prepend(_SPACE)] if keys("add_space_prefix") else []
    steps: list[Any] = [*prefix, normalizers.Replace(" ", _SPACE)]
    backend.normalizer = normalizers.Sequence(steps)
    strip = [decoders.Strip(" ", 1, 0)] if prefix else []
    parts: list[Any] = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*parts, *strip])
    return backend
