"""The chat template at work."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.data.rendering.template import Template, read_tools
from lorafw.errors import ConfigError, DataError
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


def test_a_template_knows_the_tools(chat_tokenizer: Any) -> None:
    text = "{% for tool in tools %}{{ tool.name }}{% endfor %}"
    tools = read_tools('[{"name": "weather"}]')
    template = Template(chat_tokenizer, "the template", text, {}, tools)
    assert template([Message("user", "hi")], awaiting=False) == "weather"


@pytest.mark.parametrize("text", ["", "  ", "[]"])
def test_no_tools_are_none(text: str) -> None:
    assert read_tools(text) is None


@pytest.mark.parametrize("text", ["weather", '{"name": "weather"}', '["weather"]'])
def test_tools_must_be_a_list_of_objects(text: str) -> None:
    with pytest.raises(DataError, match="tools"):
        read_tools(text)
