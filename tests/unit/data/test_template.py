"""The chat template at work."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.data.template import Template
from lorafw.errors import ConfigError
from lorafw.types import Message


def test_a_given_template_takes_the_tokenizers_place_and_knows_the_options(
    chat_tokenizer: Any,
) -> None:
    text = "{{ tone }}: {{ messages[0].role }} {{ messages[0].content }}{{ add_generation_prompt }}"
    template = Template(chat_tokenizer, "the template", text, {"tone": "kind"})
    assert template([Message("user", "hi")], awaiting=True) == "kind: user hiTrue"
    assert template([Message("user", "hi")], awaiting=False) == "kind: user hiFalse"


def test_no_template_at_all_is_a_config_error(plain_tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match="no chat template"):
        Template(plain_tokenizer, "the template", None, {})
