"""GLM-4's tiktoken vocabulary as a tokenizer of the tokenizers library."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from lorafw.errors import ModelError
from lorafw_glm._merges import merges_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SPECIALS = (
    "<|endoftext|>",
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "<sop>",
    "<eop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|begin_of_video|>",
    "<|end_of_video|>",
)
"""GLM-4-9B's special tokens; their ids follow the vocabulary's."""

# What tiktoken splits a text into before it merges bytes: GLM-4 uses the pattern of cl100k.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def glm4_tokenizer(path: Path, config: Mapping[str, Any]) -> Any:
    """A fast tokenizer that gives tiktoken's ids; special tokens in a text are read as such.

    With `add_special_tokens` a text begins with `[gMASK]<sop>`.

    Args:
        path: a tiktoken file: a base64 token and its rank on every line.
        config: what `tokenizer_config.json` holds; its chat template is kept.

    Raises:
        ModelError: a line is something else, or a byte or a rank is missing.
    """
    ranks = read_ranks(path)
    return PreTrainedTokenizerFast(
        tokenizer_object=_backend(ranks),
        eos_token=SPECIALS[0],
        pad_token=SPECIALS[0],
        extra_special_tokens=list(SPECIALS[1:]),
        chat_template=config.get("chat_template"),
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
    )


def read_ranks(path: Path) -> dict[bytes, int]:
    """The rank, which is the id, of every token of a tiktoken file.

    Raises:
        ModelError: a line is something else, or a byte or a rank is missing.
    """
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if line.strip():
            token, rank = _entry(line, f"{path}:{number}")
            ranks[token] = rank
    bytes_there = all(bytes([value]) in ranks for value in range(256))
    if not bytes_there or sorted(ranks.values()) != list(range(len(ranks))):
        mend = "Is the file cut off? Fetch it again."
        raise ModelError("lacks single bytes or ranks.", where=str(path), mend=mend)
    return ranks


def _entry(line: bytes, where: str) -> tuple[bytes, int]:
    try:
        token, rank = line.split()
        return base64.b64decode(token, validate=True), int(rank)
    except (ValueError, binascii.Error):
        fault = "should hold a base64 token and its rank."
        raise ModelError(fault, where=where, mend="Fetch the file again.") from None


def _backend(ranks: Mapping[bytes, int]) -> Tokenizer:
    written = {token: _written(token) for token in ranks}
    merges = [(written[left], written[right]) for left, right in merges_of(ranks)]
    vocabulary = {written[token]: rank for token, rank in ranks.items()}
    # A piece of text that is a token is taken whole, even where no merges lead to it.
    backend = Tokenizer(BPE(vocab=vocabulary, merges=merges, ignore_merges=True))
    split = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([split, as_bytes])
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(list(SPECIALS))
    backend.post_processor = _opening(backend, ("[gMASK]", "<sop>"))
    return backend


def _opening(backend: Tokenizer, names: Sequence[str]) -> Any:
    """Put special tokens before a text, or before the first of two."""
    before = " ".join(names)
    return processors.TemplateProcessing(
        single=f"{before} $A",
        pair=f"{before} $A $B:1",
        special_tokens=[(name, backend.token_to_id(name)) for name in names],
    )


def _written(token: bytes) -> str:
    """A token's bytes as the printable characters that the tokenizers library has for them."""
    return "".join(_CHARACTERS[value] for value in token)


def _byte_characters() -> list[str]:
    """GPT-2's character for every byte: itself where printable, else one from U+0100 on."""
    plain = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(value if value in plain else next(others)) for value in range(256)]


_CHARACTERS = _byte_characters()
