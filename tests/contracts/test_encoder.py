"""Core's encoders keep the promises of their kind."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.builtin.chat import Chat
from lorafw.builtin.prompt import Prompt
from lorafw.testing import EncoderContract


class TestPrompt(EncoderContract):
    @pytest.fixture(params=[{}, {"separator": " ", "train_on": "all"}], ids=["default", "all"])
    def encoder(self, request: pytest.FixtureRequest) -> Prompt:
        return Prompt.from_mapping(request.param, where="encoder")


OTHER_TEMPLATE = (
    "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)


class TestChat(EncoderContract):
    @pytest.fixture(
        params=[{}, {"train_on": "last"}, {"train_on": "all"}, {"template": OTHER_TEMPLATE}],
        ids=["default", "last", "all", "template"],
    )
    def encoder(self, request: pytest.FixtureRequest) -> Chat:
        options: dict[str, Any] = request.param
        return Chat.from_mapping(options, where="encoder")
