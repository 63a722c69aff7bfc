"""Configs become flat, and what is secret in them stays out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.builtin.trackers._settings import HIDDEN, flattened, without_logins


def test_nested_values_become_names_with_dots() -> None:
    values = {"plan": {"epochs": 2, "betas": [0.9, 0.999]}, "exporters": [{"use": "adapter"}]}
    assert flattened(values) == {
        "plan.epochs": 2,
        "plan.betas": "0.9, 0.999",
        "exporters.0.use": "adapter",
    }


def test_paths_become_text_and_empty_values_stay() -> None:
    values = {"path": Path("a/b"), "none": None, "list": [], "map": {}}
    assert flattened(values) == {"path": "a/b", "none": None, "list": ""}


@pytest.mark.parametrize(
    "name",
    [
        *("token", "hf_token", "api_key", "apiKey", "API-KEY", "apikey", "password"),
        *("db_password", "client_secret", "aws_secret_access_key", "accessKey", "credentials"),
    ],
)
def test_secret_names_hide_their_values(name: str) -> None:
    assert flattened({"a": {name: "xyz"}}) == {f"a.{name}": HIDDEN}
    assert flattened({name: {"inner": "xyz"}}) == {name: HIDDEN}


@pytest.mark.parametrize(
    "name", ["micro_batch_tokens", "add_tokens", "tokenizer_path", "key", "target_modules"]
)
def test_other_names_do_not(name: str) -> None:
    assert flattened({name: "xyz"}) == {name: "xyz"}


@pytest.mark.parametrize("value", [None, True, False])
def test_that_there_is_no_secret_may_be_told(value: object) -> None:
    assert flattened({"token": value}) == {"token": value}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgresql://me:pw@host/db", "postgresql://***@host/db"),
        ("https://key@sentry.io/1 failed", "https://***@sentry.io/1 failed"),
        ("login with hf_abcdefghijklmnopqrst failed", "login with *** failed"),
        (
            "me@example.com and https://example.com/@me",
            "me@example.com and https://example.com/@me",
        ),
    ],
)
def test_logins_in_texts_are_hidden(text: str, left: str) -> None:
    assert without_logins(text) == left
    assert flattened({"where": [text]}) == {"where": left}


PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
NESTED = st.recursive(
    PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner), max_leaves=6
)


@settings(max_examples=25)
@given(st.dictionaries(st.text(max_size=5), NESTED))
def test_every_value_is_plain(values: dict[str, object]) -> None:
    found = flattened(values)
    assert all(isinstance(value, str | int | float | None) for value in found.values())
