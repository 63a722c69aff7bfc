"""llama.cpp's names of the ways in which byte-level BPE splits a text before it merges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorafw.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONTRACTED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = {
    rf"{_CONTRACTED}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_REST}": "llama-bpe",
    rf"{_CONTRACTED}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_REST}": "qwen2",
    _CASED: "tekken",
}
"""The name by the pattern of a `Split`; those of Llama 3, Qwen 2 and 3, and Mistral Nemo."""


def pre_tokenizer_name(stored: Mapping[str, Any]) -> str:
    """The name for a tokenizer of the tokenizers library, as JSON.

    Unicode normalisation (NFC), which Qwen's has in front, is passed over, as llama.cpp does.

    Raises:
        ExportError: llama.cpp has no name for it.
    """
    normalizer = stored["normalizer"] or {"type": "NFC"}
    steps = _steps(stored["pre_tokenizer"])
    name = _name(steps) if normalizer["type"] == "NFC" else None
    if name is None:
        raise ExportError(
            "llama.cpp has no name for the way in which this tokenizer splits a text.",
            mend="Use exporter merged, and llama.cpp's own convert_hf_to_gguf.py on its folder.",
        )
    return name


def _name(steps: list[Mapping[str, Any]]) -> str | None:
    match [step["type"] for step in steps]:
        case ["ByteLevel"] if _is_gpt2(steps[0]):
            return "gpt-2"
        case ["Digits", "ByteLevel"] if steps[0]["individual_digits"] and _is_gpt2(steps[1]):
            return "smollm"
        case ["Split", "ByteLevel"] if not steps[1]["use_regex"]:
            return _split_name(steps[0])
    return None


def _is_gpt2(step: Mapping[str, Any]) -> bool:
    return bool(step["use_regex"]) and not step["add_prefix_space"]


def _split_name(step: Mapping[str, Any]) -> str | None:
    plain = step["behavior"] == "Isolated" and not step["invert"]
    return PATTERNS.get(step["pattern"].get("Regex", "")) if plain else None


def _steps(part: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if part is None:
        return []
    return list(part["pretokenizers"]) if part["type"] == "Sequence" else [part]
