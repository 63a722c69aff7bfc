"""The encoder of conversations, rendered by the tokenizer's chat template or one of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from lorafw.builtin.templates.jinja import JinjaConversation
from lorafw.data.rendering.template import KEY, RESERVED
from lorafw.errors import ConfigError


class Chat(JinjaConversation):
    """Conversations, rendered by the tokenizer's chat template."""

    template: str | None = Field(
        None, description="Jinja text, or path of a .jinja file, instead of the tokenizer's own."
    )
    template_options: dict[str, Any] = Field(
        default_factory=dict,
        description="Variables for the template, such as {enable_thinking: false}.",
    )

    @field_validator("template_options")
    @classmethod
    def _not_ours(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name in RESERVED:
            if name in options:
                raise ValueError(f"'{name}' is set by the encoder itself")
        return options

    def preflight(self) -> None:
        """Check that a template file can be read.

        Raises:
            ConfigError: it cannot.
        """
        _ = self._template

    def source(self) -> tuple[str, str | None]:
        """The user's template, or the tokenizer's own."""
        return self._template

    def variables(self) -> Mapping[str, Any]:
        """The user's `template_options`."""
        return self.template_options

    @cached_property
    def _template(self) -> tuple[str, str | None]:
        if self.template is None:
            return "the tokenizer's chat template", None
        if not self.template.endswith(".jinja"):
            return "the template of the config", self.template
        try:
            return f"template {self.template}", Path(self.template).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {self.template}: {error}.", where=KEY) from None
