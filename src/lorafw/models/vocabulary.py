"""Models whose vocabulary a user may add tokens to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from lorafw.contracts.model import ModelBuilder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorafw.types import Tokenizer


class GrowingVocabulary(ModelBuilder):
    """A builder with the option `add_tokens`; its methods do nothing where that is empty."""

    add_tokens: tuple[str, ...] = Field(
        (),
        description="Tokens to add to the vocabulary, whose rows are trained and saved with the "
        "adapter; those written <|…|> become special ones.",
    )

    @field_validator("add_tokens")
    @classmethod
    def _each_once(cls, tokens: tuple[str, ...]) -> tuple[str, ...]:
        for index, token in enumerate(tokens):
            if not token.strip():
                raise ValueError("a token must have a character that is no blank")
            if any("\ud800" <= letter <= "\udfff" for letter in token):
                raise ValueError(f"{token!r} is not valid Unicode")
            if token in tokens[:index]:
                raise ValueError(f"{token!r} is there twice")
        return tokens

    def extended(self, tokenizer: Tokenizer) -> Tokenizer:
        """The very tokenizer, `add_tokens` added.

        Raises:
            ModelError: it knows one already.
        """
        if self.add_tokens:
            from lorafw.models.added_tokens import extend

            extend(tokenizer, self.add_tokens)
        return tokenizer

    def grown_config(self, config: Mapping[str, object]) -> Mapping[str, object]:
        """The family's config with the vocabulary that the model is built with."""
        if not self.add_tokens:
            return config
        from lorafw.models.added_tokens import added_ids

        needed = max(added_ids(self.tokenizer(), self.add_tokens)) + 1
        inner = config.get("text_config")
        if "vocab_size" not in config and isinstance(inner, dict):
            return {**config, "text_config": _at_least(inner, needed)}
        return _at_least(config, needed)


def _at_least(config: Mapping[str, object], rows: int) -> dict[str, object]:
    stored = config.get("vocab_size")
    return {**config, "vocab_size": max(stored if isinstance(stored, int) else 0, rows)}
