"""Plugins are tested with the same real data as core."""

from __future__ import annotations

from tests.conftest import shared as shared  # noqa: PLC0414 - a fixture is found by its name here
