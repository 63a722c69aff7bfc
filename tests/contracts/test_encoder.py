"""Core's encoders keep the promises of their kind."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.assembly.registry import Registry
from lorafw.builtin.chat import Chat
from lorafw.builtin.prompt import Prompt
from lorafw.builtin.templates.glm import Glm
from lorafw.contracts import Encoder
from lorafw.testing import EncoderContract

REGISTRY = Registry()
OWN = [e.name for e in REGISTRY.entries("encoder") if e.distribution == "lorafw"]


class TestEveryEncoder(EncoderContract):
    @pytest.fixture(params=OWN)
    def encoder(self, request: pytest.FixtureRequest) -> Encoder:
        kind: Any = REGISTRY.load("encoder", request.param)
        encoder: Encoder = kind.from_mapping({}, where="encoder")
        return encoder


class TestPrompt(EncoderContract):
    @pytest.fixture
    def encoder(self) -> Prompt:
        return Prompt(separator=" ", train_on="all")


OTHER_TEMPLATE = (
    "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)


class TestChat(EncoderContract):
    @pytest.fixture(
        params=[{"train_on": "last"}, {"train_on": "all"}, {"template": OTHER_TEMPLATE}],
        ids=["last", "all", "template"],
    )
    def encoder(self, request: pytest.FixtureRequest) -> Chat:
        options: dict[str, Any] = request.param
        return Chat.from_mapping(options, where="encoder")


class TestGlm(EncoderContract):
    @pytest.fixture(params=["chatglm2", "glm4", "plain"])
    def encoder(self, request: pytest.FixtureRequest) -> Glm:
        return Glm.from_mapping({"generation": request.param}, where="encoder")
