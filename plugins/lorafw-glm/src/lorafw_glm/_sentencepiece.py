"""ChatGLM2's and ChatGLM3's sentencepiece vocabulary as a tokenizer of the tokenizers library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, decoders, normalizers, processors
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from lorafw_glm._merges import merges_of
from lorafw_glm.sentencepiece_file import END, Kind, SentencePieceModel, read_sentencepiece

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SPECIALS = ("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop")
"""Special tokens, whose ids follow the vocabulary's."""

ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
"""What follows them in ChatGLM3."""

_SPACE = "▁"


def chatglm_tokenizer(path: Path, *, roles: bool) -> Any:
    """A fast tokenizer that gives sentencepiece's ids, with ChatGLM's special tokens.

    Special tokens have ids (`convert_tokens_to_ids`), but no text is ever read as one: `sop` is
    part of ordinary words. Where the vocabulary has such a piece itself, the special token is
    called `<sop>`. With `add_special_tokens` a text begins with `[gMASK] sop`.

    Args:
        path: sentencepiece's `tokenizer.model`.
        roles: with ChatGLM3's tokens for roles.

    Raises:
        ModelError: see `read_sentencepiece`.
    """
    model = read_sentencepiece(path)
    specials = special_names(model, roles=roles)
    return PreTrainedTokenizerFast(
        tokenizer_object=_backend(model, specials),
        unk_token=model.unknown,
        pad_token=model.unknown,  # as in ChatGLM; pads are masked, whatever their id
        eos_token=END,
        extra_special_tokens=[*_controls(model), *specials],
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
    )


def special_names(model: SentencePieceModel, *, roles: bool) -> list[str]:
    """The special tokens, in brackets where a piece of the vocabulary has the name already."""
    taken = {piece.text for piece in model.pieces}
    names = SPECIALS + (ROLES if roles else ())
    return [f"<{name}>" if name in taken else name for name in names]


def _controls(model: SentencePieceModel) -> list[str]:
    return [piece.text for piece in model.pieces if piece.kind is Kind.CONTROL]


def _backend(model: SentencePieceModel, specials: Sequence[str]) -> Tokenizer:
    vocabulary = {piece.text: index for index, piece in enumerate(model.pieces)}
    vocabulary |= {name: index for index, name in enumerate(specials, start=len(vocabulary))}
    # The higher the score, the earlier the merge; what no merge makes, such as <s>, no text gives.
    ranks = {p.text: -p.score for p in model.pieces if p.kind is Kind.NORMAL}
    backend = Tokenizer(
        BPE(
            vocab=vocabulary,
            merges=merges_of(ranks),
            unk_token=model.unknown,
            fuse_unk=True,
            byte_fallback=model.byte_fallback,
        )
    )
    _spaces(backend, prefix=model.dummy_prefix)
    mask, start = (specials[SPECIALS.index(name)] for name in ("[gMASK]", "sop"))
    backend.post_processor = processors.TemplateProcessing(
        single=[mask, start, "$A"],
        pair=[mask, start, "$A", "$B", END],
        special_tokens=[(name, vocabulary[name]) for name in (mask, start, END)],
    )
    return backend


def _spaces(backend: Tokenizer, *, prefix: bool) -> None:
    """Write spaces as sentencepiece does, one before the text, and read them back."""
    escape = normalizers.Replace(" ", _SPACE)
    before = [normalizers.Prepend(_SPACE)] if prefix else []
    backend.normalizer = normalizers.Sequence([*before, escape])
    unescape = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    strip = [decoders.Strip(" ", 1, 0)] if prefix else []
    backend.decoder = decoders.Sequence([*unescape, *strip])
