"""The templates of MiniMind's generations."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from lorafw.builtin.templates.jinja import JinjaConversation, shipped


class MiniMind(JinjaConversation, ABC):
    """Turns with their roles, and the newline behind each end mark trained, as upstream does.

    Attributes:
        template_name: of the Jinja file.
    """

    behind_end: ClassVar[str] = "\n"
    template_name: ClassVar[str]

    system: str = Field(
        "", description="System line of conversations that bring none; empty for no line."
    )

    def source(self) -> tuple[str, str | None]:
        """The Jinja file that comes with lorafw."""
        return f"template {self.template_name}", shipped(self.template_name)

    def variables(self) -> Mapping[str, Any]:
        """The default system line."""
        return {"system": self.system}


class MiniMind202502(MiniMind):
    """MiniMind's conversations of 2025-02: `<s>role`, `</s>`, a system line by default."""

    template_name: ClassVar[str] = "minimind-2025-02"

    system: str = Field(
        "你是 MiniMind，是一个有用的人工智能助手。",
        description="System line of conversations that bring none; empty for no line.",
    )


class MiniMind202504(MiniMind):
    """MiniMind2's conversations of 2025-04: ChatML with a system line by default."""

    template_name: ClassVar[str] = "minimind-2025-04"

    system: str = Field(
        "You are a helpful assistant",
        description="System line of conversations that bring none; empty for no line.",
    )


class MiniMind2026(MiniMind):
    """MiniMind-3's conversations of 2026: ChatML with tools and thoughts."""

    template_name: ClassVar[str] = "minimind-2026"

    thinking: bool = Field(
        False,
        description="Train answers with the thoughts written in them; else ask for an answer "
        "behind an empty thought.",
    )

    def variables(self) -> Mapping[str, Any]:
        """The default system line, and whether thoughts are written."""
        return {"system": self.system, "thinking": self.thinking}
